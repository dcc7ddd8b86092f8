"""Replays what was recorded from a real Seldon, and says what comes out differently.

The versions that models have here stand in for those of the recording (`mul10_1`).
Where a recorded answer came from one arm of a split, the request is sent until that arm answers.
"""

import collections
import json
import math
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance import apply, open_inference
from tests.conformance.environment import Environment

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "conformance"

JsonObject = dict[str, Any]

_ROUTE = "x-seldon-route"
_TRIES_FOR_AN_ARM = 400
_SIGMAS = 4.5
"""A right split is further off than this once in 150,000 counts."""

_ANSWER_SECONDS = 3.0
"""What Seldon never answers has to be answered here before this long."""

_IN_WORDS: dict[str, JsonObject] = {
    "StartExperiment e1 default mul10, 50 mul10/50 mul2": apply.experiment(
        "e1", [("mul10", 50), ("mul2", 50)], default="mul10"
    ),
    "pipeline experiment pe pa 30/pb 70, default pa": apply.experiment(
        "pe", [("pa", 30), ("pb", 70)], default="pa", resource_type="pipeline"
    ),
}
"""Experiments that a recording tells in words only."""

_BEFORE = {
    "validation": (
        ("pipelines", ("chain2", "cond", "err1")),
        ("experiments", ("e1",)),
    )
}
"""What a recording finds there: objects that others set up, by the recording."""

_PART = {"validation": ("LoadPipeline", "grpc")}
"""The steps of a recording that are replayed, by how their names begin, if not all are."""

_UNSAID = {"pipeline whose step mul10 is the default of e1": "e1"}
"""The experiment that was stopped after a step of a recording that does not say so."""

_REPLICAS = re.compile(r"\b([a-z][a-z0-9-]*)_(\d+)\b")


@dataclass(frozen=True)
class Deviation:
    """One thing that came out differently: `aspect` is status, body, header <name>, outcome…"""

    recording: str
    step: str
    aspect: str
    recorded: str
    seen: str


def recording(name: str) -> JsonObject:
    """Read a recording; skips the test where it is not there."""
    path = RECORDINGS / f"{name}.json"
    if not path.exists():
        pytest.skip(f"{path} is not there: the recordings are not part of this repository")
    found: JsonObject = json.loads(path.read_text())
    return found


def replayed(name: str) -> list[JsonObject]:
    """Read the steps of a recording that are replayed."""
    steps: list[JsonObject] = recording(name)["steps"]
    part = _PART.get(name, ("",))
    return [step for step in steps if str(step.get("name", "")).startswith(part)]


class Replay:
    """Replays one recording against an environment that serves its models."""

    def __init__(
        self,
        name: str,
        environment: Environment,
        applier: apply.Applier,
        artifacts: dict[str, str],
    ) -> None:
        self._name = name
        self._applier = applier
        self._artifacts = artifacts
        self._address = environment.gateway_address
        self._client = httpx.Client(base_url=environment.gateway_url, timeout=60)
        self._versions: dict[str, int] = {}
        self._weights: dict[str, dict[str, int]] = {}
        self._defaults: dict[str, str] = {}
        self._steps: dict[str, list[str]] = {}

    def run(self) -> list[Deviation]:
        """Replay all steps in order, from a state with the recording's models and nothing else."""
        self._clean()
        found: list[Deviation] = []
        try:
            for step in (*self._before(), *replayed(self._name)):
                for model in self._needed(step):
                    self._serve(model)
                found.extend(self._step(step))
        finally:
            self._clean()
        return found

    def _clean(self) -> None:
        """Remove what the recording's steps make, and nothing else."""
        steps = [*self._before(), *replayed(self._name)]
        made = {(step.get("object") or step.get("request") or {}).get("name") for step in steps}
        made |= {each["metadata"]["name"] for each in _IN_WORDS.values()}
        mine = set(self._artifacts)
        for plural, ours in (("experiments", made), ("pipelines", made), ("models", mine)):
            for name in self._applier.names(plural):
                if name in ours:
                    self._applier.delete(plural, name)

    def _before(self) -> list[JsonObject]:
        """Find what the recording's steps need in those that set it up."""
        found = []
        for other, names in _BEFORE.get(self._name, ()):
            setups = [each for each in recording(other)["steps"] if each.get("kind") == "setup"]
            found += [
                next(each for each in setups if each["object"].get("name") == name)
                for name in names
            ]
        return found

    def _needed(self, step: JsonObject) -> list[str]:
        """Name the models that a step mentions and that are not served yet."""
        text = json.dumps(step)
        return [
            name
            for name in self._artifacts
            if name not in self._versions and re.search(rf"\b{name}\b", text)
        ]

    def _serve(self, name: str) -> None:
        outcome = self._applier.apply(apply.model(name, self._artifacts[name]))
        assert outcome.accepted, outcome
        # By its readiness, whatever the answer is: a call would be counted by some.
        route = self._client.get(f"/v2/models/{name}/ready").headers["x-seldon-route"]
        self._versions[name] = int(route.strip(":").rsplit("_", 1)[1])

    def _step(self, step: JsonObject) -> Iterator[Deviation]:
        kind = step.get("kind", "exchange")
        if kind == "exchange":
            yield from self._exchange(step)
        elif kind == "count":
            yield from self._count(step)
        elif kind == "setup":
            manifest = _IN_WORDS.get(step["note"]) or self._manifest(step["object"])
            yield from self._setup(step["note"], manifest, "OK", "")
        elif kind == "rpc":
            yield from self._rpc(step)
        elif kind == "observation":
            yield from self._observation(step)
        elif kind == "grpc":
            yield from self._grpc(step)
        else:
            raise AssertionError(f"{self._name}: a step of unknown kind {kind}")
        if step.get("name") in _UNSAID:
            self._stop(_UNSAID[step["name"]])

    def _deviation(self, step: str, aspect: str, recorded: object, seen: object) -> Deviation:
        return Deviation(self._name, step, aspect, _text(recorded), _text(seen))

    # Objects.

    def _manifest(self, spec: JsonObject) -> JsonObject:
        """Write what the scheduler was told as the custom resource."""
        if "candidates" not in spec:
            return _pipeline(spec)
        return apply.experiment(
            spec["name"],
            [_pair(each) for each in spec["candidates"]],
            spec.get("default"),
            _pair(spec["mirror"]) if spec.get("mirror") else None,
        )

    def _setup(
        self, step: str, manifest: JsonObject, code: str, message: str
    ) -> Iterator[Deviation]:
        outcome = self._applier.apply(manifest)
        name, spec = manifest["metadata"]["name"], manifest["spec"]
        if outcome.accepted and manifest["kind"] == "Experiment":
            suffix = ".pipeline" if spec.get("resourceType") == "pipeline" else ""
            weights = {each["name"] + suffix: each["weight"] for each in spec["candidates"]}
            self._weights[f"{name}.experiment"] = weights
            self._defaults = {at: of for at, of in self._defaults.items() if of != name}
            if "default" in spec:
                self._defaults[spec["default"] + suffix] = name
        elif outcome.accepted:
            self._steps[f"{name}.pipeline"] = [each["name"] for each in spec["steps"]]
        yield from self._outcome(step, outcome, code, message)

    def _rpc(self, step: JsonObject) -> Iterator[Deviation]:
        name, request = step["name"], step["request"]
        call, _, rest = name.partition(" ")
        if call in {"StartExperiment", "LoadPipeline"}:
            yield from self._setup(name, self._manifest(request), step["code"], step["message"])
        elif call == "StopExperiment":
            outcome = self._stop(request.get("name", rest))
            yield from self._outcome(name, outcome, step["code"], step["message"])
        elif call == "UnloadPipeline":
            outcome = self._applier.delete("pipelines", request["name"])
            yield from self._outcome(name, outcome, step["code"], step["message"])
        else:
            raise AssertionError(f"{self._name}: a call of unknown kind {name}")

    def _stop(self, experiment: str) -> apply.Outcome:
        self._weights.pop(f"{experiment}.experiment", None)
        self._defaults = {at: of for at, of in self._defaults.items() if of != experiment}
        return self._applier.delete("experiments", experiment)

    def _outcome(
        self, step: str, outcome: apply.Outcome, code: str, message: str
    ) -> Iterator[Deviation]:
        if outcome.accepted != (code == "OK"):
            seen = "OK" if outcome.accepted else f"refused: {outcome.message}"
            yield self._deviation(step, "outcome", code, seen)
        elif code != "OK" and outcome.message != message:
            yield self._deviation(step, "message", message, outcome.message)

    def _observation(self, step: JsonObject) -> Iterator[Deviation]:
        name = step["name"]
        if name.startswith("ready after s "):
            ready = self._pipeline_conditions(name)["Ready"]
            if ready["status"] != "True":
                yield self._deviation(name, "Ready", "True", ready)
            return
        if name.startswith("NOT ready "):
            # The whole version as the scheduler has it, where only the models are not ready.
            for kind, wanted in (("PipelineReady", "True"), ("ModelsReady", "False")):
                seen = self._pipeline_conditions(name)[kind]
                if seen["status"] != wanted:
                    yield self._deviation(name, kind, wanted, seen)
            return
        (recorded,) = step["value"]
        status = self._applier.status("experiments", recorded["experimentName"])
        seen = {
            field: apply.condition(status, kind)["status"] == "True"
            for field, kind in (
                ("active", "ExperimentReady"),
                ("candidatesReady", "CandidatesReady"),
                ("mirrorReady", "MirrorReady"),
            )
        }
        for field, value in seen.items():
            if recorded.get(field, False) != value:
                yield self._deviation(step["name"], field, recorded.get(field, False), value)
        said = apply.condition(status, "ExperimentReady")
        if recorded["statusDescription"] not in {said["message"], said["reason"]}:
            yield self._deviation(
                step["name"], "description", recorded["statusDescription"], said["message"]
            )

    def _pipeline_conditions(self, step: str) -> dict[str, JsonObject]:
        status = self._applier.status("pipelines", step.rpartition(" ")[2])
        return {each["type"]: each for each in status["conditions"]}

    # Requests.

    def _exchange(self, step: JsonObject) -> Iterator[Deviation]:
        recorded, request, name = step["response"], step["request"], step["name"]
        before = time.monotonic()
        response = self._send(request)
        if "none" in recorded:
            seconds = time.monotonic() - before
            yield self._deviation(name, "status", recorded["none"], response.status_code)
            yield self._deviation(name, "body", recorded["none"], response.text)
            if seconds > _ANSWER_SECONDS:
                yield self._deviation(name, "seconds", recorded["seconds"], seconds)
            return
        headers = _joined(recorded["headers"])
        response = self._from_arm(request, response, headers.get(_ROUTE))
        if response.status_code != recorded["status"]:
            yield self._deviation(name, "status", recorded["status"], response.status_code)
        for header, value in headers.items():
            there = header in response.headers
            seen = self._route(response) if header == _ROUTE else response.headers.get(header)
            if not there or not self._header_fits(header, value, seen or "", request, response):
                shown = seen if there else None
                yield self._deviation(name, f"header {header}", value, shown)
        body: object = self._translated(response.text)
        if isinstance(recorded["body"], dict) and body:
            body = _without_chance(json.loads(str(body)), recorded["body"])
        if body != recorded["body"]:
            yield self._deviation(name, "body", recorded["body"], body)

    def _from_arm(
        self, request: JsonObject, response: httpx.Response, wanted: str | None
    ) -> httpx.Response:
        """Ask until the arm answers that answered in the recording."""
        arms = {f":{_recorded_name(each)}:" for each in self._arms(request)}
        if wanted is None or len(arms) < 2 or arms.isdisjoint(wanted.split(",")):
            return response
        for _ in range(_TRIES_FOR_AN_ARM):
            if not arms.isdisjoint(set(self._route(response).split(",")) & set(wanted.split(","))):
                break
            response = self._send(request)
        return response

    def _header_fits(
        self, header: str, recorded: str, seen: str, request: JsonObject, response: Any
    ) -> bool:
        if header == "x-request-id":
            return seen == recorded if header in request["headers"] else bool(seen)
        if header in {"ce-id", "ce-requestid"} and "id" not in request["body"]:
            return bool(seen == response.json()["id"])
        return self._translated(seen) == recorded

    def _count(self, step: JsonObject) -> Iterator[Deviation]:
        name = step["name"]
        routes: collections.Counter[str] = collections.Counter()
        statuses: collections.Counter[str] = collections.Counter()
        request = {"method": step["method"], "path": step["url"], **step}
        for _ in range(step["n"]):
            response = self._send(request)
            routes[self._route(response)] += 1
            statuses[str(response.status_code)] += 1
        if statuses != step["statuses"]:
            yield self._deviation(name, "statuses", step["statuses"], dict(statuses))
        shares = self._shares(step)
        for route in sorted({*routes, *step["routes"]}):
            share = shares.get(route, 0.0)
            spread = _SIGMAS * math.sqrt(step["n"] * share * (1 - share))
            if abs(routes[route] - step["n"] * share) > spread:
                yield self._deviation(name, f"split {route}", f"{share:.4f}", routes[route])

    def _shares(self, step: JsonObject) -> dict[str, float]:
        """Say which share of the answers each route should have."""
        if len(step["routes"]) == 1:
            return dict.fromkeys(step["routes"], 1.0)
        weights = self._arms(step)
        total = sum(weights.values())
        # A pipeline's answer has a route for each step, one of which is the arm.
        return {
            route: each / total
            for route in step["routes"]
            for arm, each in weights.items()
            if f":{_recorded_name(arm)}:" in route.split(",")
        }

    def _route(self, response: httpx.Response) -> str:
        """Say which route answered; with several lines, as the recording joins them."""
        lines = response.headers.get_list(_ROUTE, split_commas=True)
        return self._translated(",".join(lines))

    def _arms(self, request: JsonObject) -> dict[str, int]:
        """Name the arms between which a request is split, with their weights."""
        headers = request["headers"]
        if _ROUTE in headers:
            return {}
        named = re.match(r"/v2/models/([^/]+)", request.get("path") or request["url"])
        asked = headers.get("seldon-model") or (named[1] if named else "")
        for each in (asked, *self._steps.get(asked, ())):
            if each in self._defaults:
                asked = f"{self._defaults[each]}.experiment"
        return self._weights.get(asked, {})

    def _grpc(self, step: JsonObject) -> Iterator[Deviation]:
        name = step["name"]
        request = open_inference.message("ModelInferRequest", step["request"])
        with open_inference.Client(self._address) as client:
            metadata = [(key, self._in_our_versions(value)) for key, value in step["metadata"]]
            # An error has its route at the end, and may come from either arm of a split too.
            wanted = _routes((*step["initial_metadata"], *step["trailing_metadata"]))
            for _ in range(_TRIES_FOR_AN_ARM):
                answer = client.answer(request, tuple(metadata))
                if self._translated(_routes((*answer.initial, *answer.trailing))) == wanted:
                    break
        if answer.code != step["code"]:
            yield self._deviation(name, "code", step["code"], answer.code)
        if answer.message != step.get("message", ""):
            yield self._deviation(name, "message", step.get("message", ""), answer.message)
        if "response" in step and answer.response is not None:
            seen = json.loads(self._translated(json.dumps(open_inference.fields(answer.response))))
            if seen != step["response"]:
                yield self._deviation(name, "response", step["response"], seen)
        for side, there in (("initial", answer.initial), ("trailing", answer.trailing)):
            recorded = step[f"{side}_metadata"]
            if self._translated(_routes(there)) != _routes(recorded):
                yield self._deviation(name, f"{side} route", _routes(recorded), _routes(there))
            kept = {key for key, _ in there}
            lost = {key for key, _ in recorded} - kept - {_ROUTE}
            for key in sorted(lost):
                yield self._deviation(name, f"{side} {key}", dict(recorded)[key], None)

    def _send(self, request: JsonObject) -> httpx.Response:
        body = request["body"]
        content = None if body is None else body if isinstance(body, str) else json.dumps(body)
        headers = {name: self._in_our_versions(value) for name, value in request["headers"].items()}
        if isinstance(body, dict) and "Content-Type" not in headers:
            headers["Content-Type"] = "application/json"
        return self._client.request(
            request["method"],
            request["path"],
            content=content,
            headers=headers,
        )

    # Versions.

    def _translated(self, text: str) -> str:
        """Write our internal names as the recording has them."""

        def recorded(match: re.Match[str]) -> str:
            model, version = match[1], int(match[2])
            first = self._versions.get(model)
            return match[0] if first is None else f"{model}_{version - first + 1}"

        return _REPLICAS.sub(recorded, text)

    def _in_our_versions(self, text: str) -> str:
        """Write the recording's internal names as ours."""

        def ours(match: re.Match[str]) -> str:
            model, version = match[1], int(match[2])
            first = self._versions.get(model)
            return match[0] if first is None else f"{model}_{version + first - 1}"

        return _REPLICAS.sub(ours, text)


def _joined(pairs: Iterable[Sequence[str]]) -> dict[str, str]:
    """Read headers by name, those that come several times joined by commas."""
    headers: dict[str, str] = {}
    for header, value in pairs:
        headers[header] = f"{headers[header]},{value}" if header in headers else value
    return headers


def _routes(metadata: Iterable[Sequence[str]]) -> str:
    """Join the routes that metadata names."""
    return ",".join(value for key, value in metadata if key == _ROUTE)


def _recorded_name(arm: str) -> str:
    return arm if arm.endswith(".pipeline") else f"{arm}_1"


_JOINS = {"inputsJoin": "inputsJoinType", "triggersJoin": "triggersJoinType"}
"""The scheduler's fields whose names differ in the custom resource."""


def _pipeline(spec: JsonObject) -> JsonObject:
    """Write a pipeline as the custom resource, from what the scheduler was told."""
    steps = [
        {
            _JOINS.get(key, key): value.lower() if key in _JOINS else value
            for key, value in step.items()
        }
        for step in spec.get("steps", ())
    ]
    output = dict(spec["output"]) if "output" in spec else None
    if output is not None and "stepsJoin" in output:
        output["stepsJoin"] = output["stepsJoin"].lower()
    more = {} if output is None else {"output": output}
    return apply.pipeline(spec["name"], steps, **more)


def _pair(value: Any) -> tuple[str, int]:
    if isinstance(value, dict):
        return value["name"], value["weight"]
    name, number = value
    return name, number


def _without_chance(seen: Any, recorded: JsonObject) -> Any:
    """Put the recorded id in place of a generated one."""
    if isinstance(seen, dict) and _is_uuid(recorded.get("id")) and _is_uuid(seen.get("id")):
        return {**seen, "id": recorded["id"]}
    return seen


def _is_uuid(value: object) -> bool:
    try:
        return str(uuid.UUID(str(value))) == value
    except ValueError:
        return False


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
