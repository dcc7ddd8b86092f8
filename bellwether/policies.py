"""`bellwether policies`: what the rules say of everything that a stack registers, without a cluster."""

import collections
import dataclasses
import pathlib
import typing

from infra import paths
from infra.cluster import recording
from policies import judge, objects, stacks


@dataclasses.dataclass(frozen=True)
class Audit:
    """What was looked at, and what was found."""

    stack: str
    environment: str
    resources: int
    found: tuple[judge.Judgement, ...]

    def count(self, severity: judge.Severity) -> int:
        """Say how many of a severity were found."""
        return sum(each.severity == severity for each in self.found)

    @property
    def passed(self) -> bool:
        """Whether nothing mandatory was found."""
        return not self.count("mandatory")

    def document(self) -> list[dict[str, typing.Any]]:
        """Give the findings for programs."""
        return [dataclasses.asdict(each) for each in self.found]

    def markdown(self) -> str:
        """Write the findings: counts first, then a section a severity, worst first."""
        counts = ", ".join(
            f"{self.count(severity)} {severity}"
            for severity in ("mandatory", "advisory", "excused")
        )
        lines = [
            f"### Policies: `{self.stack}` ({self.environment})",
            "",
            f"{self.resources} resources, {counts}",
        ]
        groups: dict[str, list[judge.Judgement]] = collections.defaultdict(list)
        for each in self.found:
            groups[each.severity].append(each)
        for severity, found in groups.items():
            lines += [
                "",
                f"| {severity} | object | where | what | remedy |",
                "|---|---|---|---|---|",
            ]
            lines += [
                f"| {j.rule} | {_cell(j.object)} | `{_cell(j.path)}` | {_cell(j.message)} "
                f"| {_cell(j.remedy)} |"
                for j in found
            ]
        return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def audit(stack: str, folder: pathlib.Path = paths.ROOT) -> Audit:
    """Judge everything that a cluster's stack registers.

    Raises:
        settings.SettingsError: the stack's configuration is wrong, or it is no cluster's.

    """
    found = [resource(each) for each in recording.record(stack, folder)]
    judged = stacks.read(stack, folder)
    return Audit(stack, judged.environment, len(found), judge.judge(found, judged))


def resource(recorded: recording.Registered) -> objects.Resource:
    """Give a recorded resource as the rules see it."""
    return objects.Resource(
        type=recorded.type,
        name=recorded.name,
        inputs=recorded.inputs,
        protect=recorded.protect,
        retained=recorded.retain_on_delete,
        ignored=recorded.ignore_changes,
    )
