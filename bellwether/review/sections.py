"""The parts of the comment, each in several versions, from the whole to the least."""

import collections.abc
import dataclasses

from bellwether.review import change, comparison, markdown, reports

_STEPS_SHOWN = 100
_FILE_LINES = 80
_LIST_SHOWN = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """One folded part."""

    importance: int
    """1 is kept longest."""
    versions: tuple[str, ...]
    """From the whole to the least, which may be nothing."""


def counts(found: reports.Reports) -> str:
    """Write what is seen without a click: a table of the stacks, and a line for all else."""
    parts = []
    if found.stacks:
        headings = ("stack", "create", "update", "replace", "delete", "policies", "manifests")
        parts.append(markdown.table(headings, map(_row, found.stacks)))
    if lines := [*_images_line(found), *_load_line(found)]:
        parts.append("\n".join(lines))
    return "\n\n".join(parts) or "Nothing was looked at."


def of(found: reports.Reports) -> tuple[Section, ...]:
    """Give every section that there is something for, in the order of the page."""
    made = [
        *(_failure(name, said) for name, said in found.failures),
        *_violations(found),
        *(_steps(stack) for stack in found.stacks if stack.preview),
        *(_difference(stack.rendered) for stack in found.stacks if stack.rendered),
        *_images(found),
        *_load(found),
    ]
    return tuple(section for section in made if section.versions[0])


def _row(stack: reports.Stack) -> list[str]:
    counted = dict.fromkeys(("create", "update", "replace", "delete"), 0)
    for each in stack.changes:
        counted[each.operation] += 1
    cells = [f"{count:,}" if count else "·" for count in counted.values()]
    return [markdown.code(stack.name), *cells, _policies_cell(stack), _rendered_cell(stack)]


def _policies_cell(stack: reports.Stack) -> str:
    if stack.policies is None:
        return "not run"
    mandatory = len(stack.policies.mandatory)
    if mandatory:
        return f"**{mandatory:,} mandatory**"
    advisory = len(stack.policies.violations)
    return f"{advisory:,} advisory" if advisory else "pass"


def _rendered_cell(stack: reports.Stack) -> str:
    if stack.rendered is None:
        return "not compared"
    added = sum(file.added for file in stack.rendered.files)
    removed = sum(file.removed for file in stack.rendered.files)
    return f"+{added:,} −{removed:,}" if stack.rendered.files else "same"


def _images_line(found: reports.Reports) -> list[str]:
    if found.images is None:
        return []
    over = [image for image in found.images.images if not image.fits]
    text = f"- Images: {len(found.images.images):,} built"
    if over:
        text += f", **{markdown.counted(len(over), 'is', 'are')} over budget**"
    return [text]


def _load_line(found: reports.Reports) -> list[str]:
    if found.load is None:
        return []
    verdict = (
        "thresholds hold"
        if found.load.holds
        else f"**{markdown.counted(len(found.load.broken), 'threshold is', 'thresholds are')} broken**"
    )
    asked = sum(part.requests for part in found.load.parts)
    return [f"- Load test: {verdict}, {asked:,} requests"]


def _failure(name: str, said: str) -> Section:
    whole = markdown.folded(f"{name} was not made", markdown.block(said))
    return Section(2, (whole, markdown.folded(f"{name} was not made", "See the run's log.")))


def _violations(found: reports.Reports) -> list[Section]:
    judged = [
        (stack.name, each)
        for stack in found.stacks
        if stack.policies
        for each in stack.policies.violations
    ]
    judged.sort(key=lambda each: each[1].severity != reports.MANDATORY)
    rows = [
        f"- **{markdown.prose(each.severity)}** {markdown.code(each.rule)} in "
        f"{markdown.code(stack)}, {markdown.code(each.object)} {markdown.code(each.path)}: "
        f"{markdown.prose(each.message)} {markdown.prose(each.remedy)}"
        for stack, each in judged
    ]
    if not rows:
        return []
    title = f"Policies: {markdown.counted(len(rows), 'violation')}"
    return [Section(1, _shorter(title, rows))]


def _steps(stack: reports.Stack) -> Section:
    assert stack.preview is not None  # noqa: S101  the caller has looked
    rows = [_step(each) for each in sorted(stack.changes, key=_worst_first)]
    said = stack.preview.complaints
    if stack.preview.may_be_corrupt:
        said = ("error: the engine says that a resource may be corrupt", *said)
    rows = [*(f"- {markdown.prose(each)}" for each in said), *rows]
    if not rows:
        return Section(3, ("",))
    changed = markdown.counted(len(stack.changes), "resource changes", "resources change")
    return Section(3, _shorter(f"Preview of {stack.name}: {changed}", rows))


def _worst_first(each: change.Change) -> tuple[int, str, str]:
    order = ("delete", "replace", "update", "create")
    return order.index(each.operation), each.kind, each.name


def _step(each: change.Change) -> str:
    shown = ", ".join(map(markdown.code, each.properties[:_STEPS_SHOWN]))
    because = f": {shown}" if shown and each.operation in {"update", "replace"} else ""
    return f"- {each.operation} {markdown.code(each.title)}{because}"


def _difference(found: comparison.Rendered) -> Section:
    title = f"Manifests of {found.stack}, compared with {found.base[:12]}"
    if not found.files:
        return Section(4, ("",))
    title += f": {markdown.counted(len(found.files), 'file')}"
    whole = _diffs(title, found.files, None)
    short = _diffs(title, found.files, _FILE_LINES)
    rows = [
        f"- {markdown.code(file.path)} +{file.added:,} −{file.removed:,}" for file in found.files
    ]
    return Section(4, (whole, short, *_shorter(title, rows)))


def _diffs(title: str, files: collections.abc.Iterable[comparison.File], lines: int | None) -> str:
    parts = []
    for file in files:
        shown = file.diff.splitlines()
        more = len(shown) - lines if lines is not None else 0
        if more > 0:
            shown = [*shown[:lines], f"# … {more:,} more lines"]
        heading = f"{markdown.code(file.path)} ({file.operation})"
        parts.append(f"{heading}\n{markdown.block(chr(10).join(shown), 'diff')}")
    return markdown.folded(title, "\n\n".join(parts))


def _images(found: reports.Reports) -> list[Section]:
    if found.images is None or not found.images.images:
        return []
    rows = [
        [
            markdown.code(image.name),
            f"{image.megabytes:,.0f}" if image.fits else f"**{image.megabytes:,.0f}**",
            f"{image.budget:,.0f}",
            markdown.code(image.digest) if image.digest else "not pushed",
        ]
        for image in found.images.images
    ]
    headings = ("image", "MB", "budget", "digest")
    title = f"Images: {len(rows):,}"
    return [Section(2, (markdown.folded(title, markdown.table(headings, rows)), ""))]


def _load(found: reports.Reports) -> list[Section]:
    if found.load is None:
        return []
    headings = ("journey", "requests", "failed", "a second", "p50", "p95", "p99 [ms]")
    rows = [
        [
            markdown.code(part.journey),
            f"{part.requests:,}",
            f"{part.failed:,}",
            f"{part.requests_per_second:,.0f}",
            *(_milliseconds(each) for each in (part.p50_ms, part.p95_ms, part.p99_ms)),
        ]
        for part in found.load.parts
    ]
    broken = "\n".join(f"- {markdown.prose(each)}" for each in found.load.broken)
    table = markdown.table(headings, rows)
    body = f"{broken}\n\n{table}" if broken else table
    whole = markdown.folded("Load test on the local environment", body)
    return [Section(2, (whole, broken, ""))]


def _milliseconds(value: float | None) -> str:
    return "·" if value is None else f"{value:,.1f}"


def _shorter(title: str, rows: collections.abc.Sequence[str]) -> tuple[str, ...]:
    """Give a list whole, its beginning, and its title alone."""
    versions = [markdown.folded(title, "\n".join(rows))]
    for shown in (_LIST_SHOWN, 10):
        if len(rows) > shown:
            rest = f"- … and {len(rows) - shown:,} more"
            versions.append(markdown.folded(title, "\n".join([*rows[:shown], rest])))
    return (*versions, markdown.folded(title, "Left out here."), "")
