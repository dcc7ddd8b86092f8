"""Which changes a reviewer must see first, each with what can go wrong.

A rule takes one change and gives a sentence, or nothing.
"""

import collections.abc
import dataclasses
import typing

from bellwether.review import change

STATEFUL = frozenset(
    {
        "StatefulSet",
        "PersistentVolumeClaim",
        "PersistentVolume",
        "Kafka",
        "KafkaNodePool",
        "KafkaTopic",
        "Topic",
        "Namespace",
        "CustomResourceDefinition",
        "Release",
        "Chart",
        "Prometheus",
    }
)
"""What holds data, or takes what holds data along when it goes."""
_RIGHTS = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})
_POD_SECURITY = "pod-security.kubernetes.io/enforce"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Risk:
    """One risky change; sorted, the worst come first."""

    rank: int
    title: str
    sentence: str


Rule = collections.abc.Callable[[change.Change], str | None]


def of(changes: collections.abc.Iterable[change.Change]) -> tuple[Risk, ...]:
    """Give the risks of changes, the worst first, each once."""
    found = {
        Risk(rank, each.title, sentence)
        for each in changes
        for rank, rule in enumerate(_RULES)
        if (sentence := rule(each)) is not None
    }
    return tuple(sorted(found))


def _gone(each: change.Change) -> bool:
    return each.operation in {"delete", "replace"}


def _stateful(each: change.Change) -> str | None:
    if each.kind not in STATEFUL or not _gone(each):
        return None
    verb = "deleted" if each.operation == "delete" else "replaced"
    return f"is {verb}: its data may go with it; is there a backup?"


def _protected(each: change.Change) -> str | None:
    if not each.was_protected:
        return None
    if each.operation == "delete":
        return "is protected and would be deleted: the engine refuses this"
    if each.operation == "replace":
        return "is protected and would be replaced: the engine refuses this"
    return "loses its protection" if not each.is_protected else "is protected and changes"


def _network(each: change.Change) -> str | None:
    if each.kind != "NetworkPolicy" or each.operation == "create":
        return None
    if _gone(each):
        return "is removed: what it kept out may come in"
    return "changes: who may reach whom is another now"


def _pod_security(each: change.Change) -> str | None:
    if each.kind != "Namespace" or each.operation != "update":
        return None
    before, after = (_labels(m).get(_POD_SECURITY) for m in (each.before, each.after))
    if before == after:
        return None
    return f"enforces Pod Security `{after or 'nothing'}` instead of `{before or 'nothing'}`"


def _rights(each: change.Change) -> str | None:
    if each.kind not in _RIGHTS or _gone(each):
        return None
    return "grants rights" if each.operation == "create" else "grants other rights than before"


def _secret(each: change.Change) -> str | None:
    if each.kind != "Secret":
        return None
    if _gone(each):
        return "is removed: what reads it fails at its next start"
    if each.operation == "create":
        return None
    return "changes: what reads it sees the new one at its next start"


def _weights(each: change.Change) -> str | None:
    if each.kind != "Experiment":
        return None
    if _gone(each):
        return "is removed: callers that name it get 404"
    before, after = _candidates(each.before), _candidates(each.after)
    if before == after or not before:
        return None
    moved = [
        f"`{name}` {_shown(before.get(name))} → {_shown(after.get(name))}"
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    ]
    return f"splits traffic anew: {', '.join(moved)}"


def _bandit(each: change.Change) -> str | None:
    if each.kind != "BanditPolicy" or each.operation == "create":
        return None
    if _gone(each):
        return "is removed: the experiment's weights stay where they are"
    before, after = each.before.get("spec") or {}, each.after.get("spec") or {}
    keys = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    return f"learns by other rules: {', '.join(f'`{key}`' for key in keys)}" if keys else None


def _pipeline(each: change.Change) -> str | None:
    if each.kind != "Pipeline" or each.operation == "create":
        return None
    if _gone(each):
        return "is removed: callers that name it get 404"
    if each.before.get("spec") == each.after.get("spec"):
        return None
    return (
        "is changed in place: a Seldon Core 2 that is updated so may answer 503 until it is "
        "removed and loaded again; a changed pipeline goes live under a new name"
    )


# In the order of what they can cost.
_RULES: tuple[Rule, ...] = (
    _stateful,
    _protected,
    _network,
    _pod_security,
    _rights,
    _secret,
    _pipeline,
    _weights,
    _bandit,
)


def _labels(document: change.Manifest) -> dict[str, typing.Any]:
    return (document.get("metadata") or {}).get("labels") or {}


def _candidates(document: change.Manifest) -> dict[str, typing.Any]:
    spec = document.get("spec") or {}
    return {each["name"]: each.get("weight") for each in spec.get("candidates") or ()}


def _shown(weight: object) -> str:
    return "none" if weight is None else str(weight)
