"""What the rules say of a stack's resources, with the severity that its environment gives them."""

import collections.abc
import dataclasses
import typing

from policies import exceptions, levels, objects, rule, rules, stacks

Severity = typing.Literal["mandatory", "advisory", "excused"]
_ORDER = ("mandatory", "advisory", "excused")


@dataclasses.dataclass(frozen=True, slots=True)
class Judgement:
    """One rule that does not hold, for one object."""

    rule: str
    severity: Severity
    object: str
    """Kind, namespace and name."""
    path: str
    """Of the input."""
    message: str
    """What is wrong, and why it matters; for what is excused, the reason given."""
    remedy: str

    @property
    def sentence(self) -> str:
        """All of it, as the engine shows it."""
        return f"{self.object}, {self.path}: {self.message} Remedy: {self.remedy}."


def judge(
    resources: collections.abc.Sequence[objects.Resource], stack: stacks.Stack
) -> tuple[Judgement, ...]:
    """Judge everything that a stack registers: mandatory first, then by rule, object and path."""
    found = [
        judgement
        for each in rules.ALL
        for judgement in (
            (j for _, j in whole(each, resources, stack))
            if each.whole is not None
            else (j for resource in resources for j in one(each, resource, stack))
        )
    ]
    known = {each.name: number for number, each in enumerate(rules.ALL)}
    return tuple(
        sorted(found, key=lambda j: (_ORDER.index(j.severity), known[j.rule], j.object, j.path))
    )


def one(
    given: rule.Rule, resource: objects.Resource, stack: stacks.Stack
) -> collections.abc.Iterator[Judgement]:
    """Judge one resource by a rule that looks at resources one by one."""
    if given.one is not None and _on(given, stack):
        for fault in given.one(resource, stack):
            yield _judgement(given, resource, fault, stack)


def whole(
    given: rule.Rule, resources: collections.abc.Sequence[objects.Resource], stack: stacks.Stack
) -> collections.abc.Iterator[tuple[objects.Resource, Judgement]]:
    """Judge a stack by a rule that looks at all of it; say whose fault each is."""
    if given.whole is not None and _on(given, stack):
        for resource, fault in given.whole(resources, stack):
            yield resource, _judgement(given, resource, fault, stack)


def _on(given: rule.Rule, stack: stacks.Stack) -> bool:
    return levels.LEVELS[given.name].of(stack.environment) != "off"


def _judgement(
    given: rule.Rule, resource: objects.Resource, fault: objects.Fault, stack: stacks.Stack
) -> Judgement:
    reason = exceptions.granted(resource, given.name, stack)
    if reason is not None:
        severity: Severity = "excused"
        message = f"{fault.what}; excused: {reason}."
    else:
        mandatory = levels.LEVELS[given.name].of(stack.environment) == "mandatory"
        severity = "mandatory" if mandatory else "advisory"
        message = f"{fault.what}. {given.reason}"
    return Judgement(given.name, severity, resource.title, fault.path, message, given.remedy)
