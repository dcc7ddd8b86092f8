"""`bellwether drift`: what is not as it was declared, for people, programs, and a run's summary."""

import dataclasses

import rich.table

from bellwether import deployment, environment
from bellwether.review import markdown

EXIT_DRIFTED = 7
"""As `pulumi refresh --expect-no-changes` ends."""

_CAUSES = {
    "update": "was changed by somebody else",
    "delete": "is gone",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One resource that is not as it was declared."""

    operation: str
    resource: str
    properties: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What became of it."""
        return _CAUSES.get(self.operation, self.operation)


@dataclasses.dataclass(frozen=True, slots=True)
class Drift:
    """What was found of one stack."""

    stack: str
    differences: tuple[Difference, ...]

    @property
    def drifted(self) -> bool:
        """Whether anything is not as it was declared."""
        return bool(self.differences)


def find(stack: environment.Stack) -> Drift:
    """Look, and change nothing; for the errors see `deployment.drift` and `environment.drift`."""
    look = deployment.drift if stack.on_cluster else environment.drift
    return Drift(stack.name, tuple(Difference(*each) for each in sorted(look(stack))))


def as_markdown(found: Drift) -> str:
    """Write it for a run's summary or an issue: paths of properties, and no value of any."""
    title = f"### Drift of {markdown.code(found.stack)}"
    if not found.drifted:
        return f"{title}\n\nEverything is as it was declared.\n"
    lines = [
        f"- {markdown.code(each.resource)} {each.sentence}{_where(each)}"
        for each in found.differences
    ]
    remedy = (
        f"`bellwether up -s {found.stack}` puts back what is declared; what shall stay as it is "
        "belongs into the program first."
    )
    count = markdown.counted(len(lines), "resource is", "resources are")
    return "\n".join([title, "", f"{count} not as declared.", "", *lines, "", remedy, ""])


def _where(each: Difference) -> str:
    return f": {', '.join(map(markdown.code, each.properties))}" if each.properties else ""


def table(found: Drift) -> rich.table.Table:
    """Draw it for a person."""
    shown = rich.table.Table()
    for heading in ("resource", "", "where"):
        shown.add_column(heading, overflow="fold")
    for each in found.differences:
        shown.add_row(each.resource, each.sentence, ", ".join(each.properties))
    return shown
