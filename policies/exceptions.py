"""Exceptions: an object's annotation that excuses it from a rule, with a reason.

`bellwether.dev/policy-exception: <rule>: <reason>`, one a line.
"""

import difflib

from policies import levels, objects, rule, stacks

ANNOTATION = "bellwether.dev/policy-exception"
_SHORTEST = 12
"""Characters of a reason that says something."""


def of(resource: objects.Resource) -> dict[str, str]:
    """Give what a resource excuses itself from, with the reasons."""
    return dict(_lines(resource))


def _lines(resource: objects.Resource) -> list[tuple[str, str]]:
    found = []
    for line in str(resource.annotations.get(ANNOTATION, "")).splitlines():
        if line.strip():
            name, _, reason = line.partition(":")
            found.append((name.strip(), reason.strip()))
    return found


def _wrong(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    path = f"metadata.annotations.{ANNOTATION}"
    for name, reason in _lines(resource):
        if name not in levels.LEVELS:
            near = difflib.get_close_matches(name, levels.LEVELS, n=1)
            hint = f"did you mean `{near[0]}`?" if near else "see docs/policies.md"
            yield objects.Fault(path, f"there is no rule `{name}`; {hint}")
        elif len(reason) < _SHORTEST:
            yield objects.Fault(path, f"the exception from `{name}` gives no reason")
        elif not levels.LEVELS[name].excusable(stack.environment):
            yield objects.Fault(path, f"nothing is excused from `{name}` in {stack.environment}")


def granted(resource: objects.Resource, name: str, stack: stacks.Stack) -> str | None:
    """Give the reason for which a resource is excused from a rule; None where it is not."""
    reason = of(resource).get(name)
    if reason is None or len(reason) < _SHORTEST:
        return None
    return reason if levels.LEVELS[name].excusable(stack.environment) else None


RULES = (
    rule.Rule(
        "exception",
        f"An annotation `{ANNOTATION}` names a rule that can be excused here, and a reason.",
        "An exception that excuses nothing is believed to.",
        "write `<rule>: <reason>`, one a line; docs/policies.md says what can be excused where",
        one=_wrong,
    ),
)
