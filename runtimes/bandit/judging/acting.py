"""Bandit policies judged, activated, frozen: what `bellwether bandit` and the console do.

Records are read from Kafka, policies are read and written at Kubernetes' own paths.
"""

import dataclasses
import datetime as dt
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import numpy as np
import yaml

from runtimes.bandit import declaration, notation, offpolicy
from runtimes.bandit.controller import topics
from runtimes.bandit.controller.messages import Message
from runtimes.bandit.controller.parts import AwayError, UnusableError
from runtimes.bandit.judging import joined, replaying, splits, verdict
from runtimes.contract import bandits

POLICIES = f"/apis/{declaration.API_VERSION}/namespaces/{{namespace}}/{declaration.PLURAL}"
NOTE = f"{declaration.GROUP}/"
"""How the annotations begin in which an activation is recorded."""

ROWS = 1_000_000
"""The newest decisions that are judged by, where nothing else is said."""

_TIMEOUT = 10.0
_EARLY_MS = 60_000
"""How much sooner than its decision a reward may be in Kafka: arms publish without waiting."""

Said = Callable[[str], None]


class BanditError(Exception):
    """What was asked for cannot be done; the message says why, and what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where records and policies are."""

    kafka: str
    mesh: str
    """The API server: the mesh's, or Kubernetes' own."""
    namespace: str
    service_account: pathlib.Path | None = None
    """Folder of `token` and `ca.crt`; what is missing there is not used."""


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """How to judge; see `offpolicy.evaluate`."""

    rows: int = ROWS
    level: float = 0.95
    clip: float | None = None
    seed: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and on what it rests."""

    policy: declaration.BanditPolicy
    current: str
    """The policy that acted last."""
    arms: tuple[str, ...]
    joined: joined.Joined
    shares: Mapping[str, tuple[float, float]]
    """By arm: the share that the candidate would have given, and the one that there was."""
    verdict: verdict.Verdict

    def document(self) -> dict[str, Any]:
        """Give it as JSON's types."""
        found, candidate = self.verdict, self.verdict.candidate
        return {
            "policy": self.policy.metadata.name,
            "experiment": self.policy.spec.experiment,
            "current_policy": self.current,
            "metric": self.policy.spec.reward_metric,
            "rows": candidate.rows,
            "left_out": dict(self.joined.left_out),
            "arms": {
                arm: {"candidate": given, "current": there}
                for arm, (given, there) in self.shares.items()
            },
            "candidate": {
                name: dataclasses.asdict(each) for name, each in candidate.estimates.items()
            },
            "current": dataclasses.asdict(found.current.estimates[verdict.ESTIMATOR]),
            "difference": dataclasses.asdict(found.difference),
            "effective_sample_size": candidate.effective_sample_size,
            "largest_weight": candidate.largest_weight,
            "clip": candidate.clip,
            "clipped": candidate.clipped,
            "interval": candidate.interval,
            "gate": {
                "estimator": verdict.ESTIMATOR,
                "passes": found.passes,
                "reason": found.reason,
            },
        }


def read(path: pathlib.Path) -> declaration.BanditPolicy:
    """Read a BanditPolicy from a YAML or JSON file. Raises `BanditError`."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BanditError(f"{path}: cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise BanditError(f"{path}: expected a BanditPolicy, got {type(document).__name__}")
    try:
        return declaration.parse(document)
    except notation.ManifestError as error:
        problems = "\n".join(f"  {each.message}" for each in error.problems)
        raise BanditError(f"{path} is no BanditPolicy:\n{problems}") from error


def judge(
    place: Place, policy: declaration.BanditPolicy, options: Options, said: Said = lambda _: None
) -> Judged:
    """Judge a policy by the records of the one that acts. Raises `BanditError`."""
    spec = policy.spec
    reader = topics.Reader(place.kafka, "bellwether-judge")
    try:
        said("allocations")
        known, current = _splits(reader, spec.experiment)
        said("decisions and rewards")
        decisions, rewards = _records(reader, options.rows)
        found = joined.join(
            decisions,
            rewards,
            known,
            experiment=spec.experiment,
            metric=spec.reward_metric,
            limit_ms=round(spec.reward_time_limit.total_seconds() * 1000),
        )
    except (AwayError, UnusableError) as error:
        raise BanditError(
            f"the records cannot be read: {error}; `bellwether status` says what is wrong"
        ) from error
    except LookupError as error:
        raise BanditError(str(error.args[0])) from error
    finally:
        reader.close()
    try:
        target = replaying.targets(
            spec, found, known, lambda done, of: said(f"epoch {done} of {of}")
        )
        said("estimates")
        judgement = verdict.judge(
            found, target, level=options.level, clip=options.clip, seed=options.seed
        )
    except (replaying.Unusable, offpolicy.Unusable) as error:
        raise BanditError(
            f"{policy.metadata.name} cannot be judged by the records of {spec.experiment!r} and "
            f"{spec.reward_metric!r}: {error}{_told(found)}"
        ) from error
    there = np.bincount(found.arms, minlength=len(known.arms)) / len(found.arms)
    shares = zip(target.mean(axis=0).tolist(), there.tolist(), strict=True)
    return Judged(
        policy,
        current,
        known.arms,
        found,
        dict(zip(known.arms, shares, strict=True)),
        judgement,
    )


def _told(found: joined.Joined) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in found.left_out.items() if count)
    return f" (left out: {reasons})" if reasons else ""


def _splits(reader: topics.Reader, experiment: str) -> tuple[splits.Splits, str]:
    records, last = [], ""
    for time, record in _allocations(reader):
        if record.experiment == experiment:
            records.append((time, record))
            last = record.policy
    return splits.of(records, experiment), last


def _allocations(reader: topics.Reader) -> Iterator[tuple[int, bandits.Allocation]]:
    for message in reader.whole(bandits.ALLOCATIONS, 0):
        try:
            yield message.time, bandits.Allocation.decode(message.value)
        except bandits.InvalidRecord:
            continue  # the controller says so in its log; it consumed nothing


def _records(reader: topics.Reader, rows: int) -> tuple[list[Message], Iterator[Message]]:
    """Read the newest decisions, and all rewards since the first of them."""
    low, high = reader.bounds(bandits.DECISIONS)
    decisions = list(reader.whole(bandits.DECISIONS, max(low, high - rows)))
    if not decisions:
        return [], iter(())
    start = reader.since(bandits.REWARDS, decisions[0].time - _EARLY_MS)
    return decisions, reader.whole(bandits.REWARDS, start)


def history(place: Place, experiment: str | None, last: int) -> list[bandits.Allocation]:
    """Give the last epochs of an experiment's policies, or of all, oldest first."""
    reader = topics.Reader(place.kafka, "bellwether-history")
    try:
        found = [
            record
            for _, record in _allocations(reader)
            if experiment in {None, record.experiment, record.policy}
        ]
    except (AwayError, UnusableError) as error:
        raise BanditError(f"the log of epochs cannot be read: {error}") from error
    finally:
        reader.close()
    return found[-last:]


def policies(place: Place) -> dict[str, declaration.BanditPolicy]:
    """Give the policies that are declared, by name."""
    items = _call(place, "GET", "")["items"]
    return {each["metadata"]["name"]: declaration.parse(each) for each in items}


def freeze(place: Place, name: str | None) -> str:
    """Leave the weights of a policy's experiment alone from now on; give the policy's name."""
    chosen = _named(policies(place), name)
    _call(place, "PATCH", f"/{chosen}", {"spec": {"mode": "frozen"}})
    return chosen


def chosen(place: Place, name: str | None) -> str:
    """Give the policy that is meant; without a name, the one that there is."""
    return _named(policies(place), name)


@dataclasses.dataclass(frozen=True, slots=True)
class Activation:
    """What an activation did."""

    policy: str
    gate: str
    """What the gate said."""
    forced: str | None
    """Why it was activated all the same."""
    judged: Judged | None


def activate(
    place: Place,
    policy: declaration.BanditPolicy | None,
    options: Options,
    *,
    force: str | None = None,
    said: Said = lambda _: None,
) -> Activation:
    """Let a policy act in the place of the one that does, if the gate lets it through.

    Without `policy` it is the one that is declared. `force` is the reason to activate it whatever
    the gate says; it is recorded with the policy. What acted last passes unjudged: it goes on.

    Raises:
        BanditError: the gate refuses, or another policy owns the experiment.

    """
    there = policies(place)
    policy = policy or there[_named(there, None)]
    name = policy.metadata.name
    _check_owner(there, policy)
    current = there.get(name)
    judged: Judged | None = None
    if _acted_last(place, policy):
        passes, gate = True, "it is the policy that acted last"
    else:
        passes, gate, judged = _gate(place, policy, options, said)
    if not passes and force is None:
        raise BanditError(
            f"{name} is not activated: {gate}.\n"
            "`--force REASON` activates it all the same, and records the reason"
        )
    _write(place, policy, current, gate, None if passes else force)
    return Activation(name, gate, None if passes else force, judged)


def _acted_last(place: Place, policy: declaration.BanditPolicy) -> bool:
    """Say whether the last weights that were applied are this very policy's."""
    applied = [each for each in history(place, policy.spec.experiment, ROWS) if each.applied]
    if not applied or applied[-1].policy != policy.metadata.name:
        return False
    spec = applied[-1].details.get("spec")
    if not isinstance(spec, dict):
        return False
    before = declaration.parse_spec(spec).model_copy(update={"mode": "active"})
    return before == policy.spec.model_copy(update={"mode": "active"})


def _gate(
    place: Place, policy: declaration.BanditPolicy, options: Options, said: Said
) -> tuple[bool, str, Judged | None]:
    try:
        judged = judge(place, policy, options, said)
    except BanditError as error:
        return False, str(error), None
    return judged.verdict.passes, judged.verdict.reason, judged


def _check_owner(
    there: Mapping[str, declaration.BanditPolicy], policy: declaration.BanditPolicy
) -> None:
    for name, other in there.items():
        owns = other.spec.experiment == policy.spec.experiment and other.spec.mode == "active"
        if owns and name != policy.metadata.name:
            raise BanditError(
                f"policy {name} owns the weights of {policy.spec.experiment}: "
                f"give yours its name, or `bellwether bandit freeze {name}` first"
            )


def _write(
    place: Place,
    policy: declaration.BanditPolicy,
    current: declaration.BanditPolicy | None,
    gate: str,
    forced: str | None,
) -> None:
    name = policy.metadata.name
    given = policy.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    notes = {
        f"{NOTE}activated": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        f"{NOTE}gate": gate,
    }
    if forced is not None:
        notes[f"{NOTE}forced"] = forced
    metadata: dict[str, Any] = {"name": name, "annotations": notes}
    if current is not None:
        # The one that was judged against, not one that somebody wrote meanwhile.
        metadata["resourceVersion"] = current.metadata.resource_version
    body = {
        "apiVersion": declaration.API_VERSION,
        "kind": declaration.KIND,
        "metadata": metadata,
        "spec": given | {"mode": "active"},
    }
    if current is None:
        _call(place, "POST", "", body)
    elif current.spec.model_copy(update={"mode": "active"}) == policy.spec.model_copy(
        update={"mode": "active"}
    ):
        # All that the console may do: it declares no policy.
        _call(place, "PATCH", f"/{name}", {"metadata": metadata, "spec": {"mode": "active"}})
    else:
        _call(place, "PUT", f"/{name}", body)


def _named(there: Mapping[str, declaration.BanditPolicy], name: str | None) -> str:
    known = ", ".join(there) or "none"
    if name is None and len(there) == 1:
        return next(iter(there))
    if name is None:
        raise BanditError(f"which policy? There are: {known}")
    if name not in there:
        raise BanditError(f"there is no policy {name!r}; there are: {known}")
    return name


def _call(place: Place, method: str, path: str, body: Any = None) -> dict[str, Any]:
    headers = {"content-type": "application/merge-patch+json"} if method == "PATCH" else {}
    url = f"{place.mesh}{POLICIES.format(namespace=place.namespace)}{path}"
    verify: str | bool = True
    if place.service_account is not None:
        token, authority = (place.service_account / each for each in ("token", "ca.crt"))
        if token.exists():
            headers["authorization"] = f"Bearer {token.read_text().strip()}"
        verify = str(authority) if authority.exists() else True
    try:
        answer = httpx.request(
            method, url, json=body, headers=headers, timeout=_TIMEOUT, verify=verify
        )
    except httpx.HTTPError as error:
        raise BanditError(
            f"the mesh at {place.mesh} does not answer ({error}): "
            "`bellwether status` says what is wrong"
        ) from error
    if answer.is_error:
        try:
            message = answer.json()["message"]
        except (ValueError, KeyError, TypeError):
            message = answer.text[:300]
        raise BanditError(f"the mesh refuses ({answer.status_code}): {message}")
    found: dict[str, Any] = answer.json()
    return found
