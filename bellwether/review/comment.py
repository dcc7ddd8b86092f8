"""The one comment on a pull request: counts first, risky changes on top, details folded.

It never grows beyond what GitHub takes: details go first, and it says what it left out.
"""

import collections.abc
import dataclasses

from bellwether.review import markdown, reports, risks, sections

LIMIT = 65_536
"""GitHub's limit of a comment. It counts characters; bytes are never fewer."""
MARKER = "<!-- bellwether: review -->"
"""What the one comment is found by."""

_RISKS_SHOWN = 40
_LEFT_OUT = (
    "Some details are left out: a comment holds 65,536 characters. "
    "The artifact `reports` of the run has them all."
)
_STILL_TOO_LONG = "Everything else is left out."


def render(found: reports.Reports, *, revision: str = "", run: str = "", limit: int = LIMIT) -> str:
    """Write the comment.

    Args:
        found: what it is about.
        revision: the commit that was looked at.
        run: the URL of the workflow's run.
        limit: the most bytes that it may have in UTF-8.

    """
    top = _top(found, revision, run)
    return _fit(top, sections.of(found), limit)


def _top(found: reports.Reports, revision: str, run: str) -> list[str]:
    about = f" of {markdown.code(revision[:12])}" if revision else ""
    details = f" · [run]({run})" if run else ""
    return [
        MARKER,
        f"### Review{about}{details}",
        sections.counts(found),
        *_failures(found),
        *_risky(found),
    ]


def _failures(found: reports.Reports) -> list[str]:
    if not found.failures:
        return []
    names = ", ".join(markdown.code(name) for name, _ in found.failures)
    return [f"**Not made:** {names}; what was said is below."]


def _risky(found: reports.Reports) -> list[str]:
    listed = _by_stacks(found)
    if not listed:
        return ["No risky change."] if any(stack.changes for stack in found.stacks) else []
    lines = [
        f"- {markdown.code(risk.title)} {markdown.prose(risk.sentence)} ({', '.join(stacks)})"
        for risk, stacks in listed[:_RISKS_SHOWN]
    ]
    if more := len(listed) - _RISKS_SHOWN:
        lines += [f"- … and {more:,} more"] if more > 0 else []
    heading = f"**{markdown.counted(len(listed), 'risky change')}**"
    return [heading + "\n\n" + "\n".join(lines)]


def _by_stacks(found: reports.Reports) -> list[tuple[risks.Risk, list[str]]]:
    """Give each risk once, with the stacks that have it, the worst first."""
    where: dict[risks.Risk, list[str]] = {}
    for stack in found.stacks:
        for risk in risks.of(stack.changes):
            where.setdefault(risk, []).append(stack.name)
    return sorted(where.items(), key=lambda each: each[0])


@dataclasses.dataclass
class _Fitting:
    """A section, and which of its versions is taken: the first is the whole, the last the least."""

    section: sections.Section
    version: int = 0

    @property
    def text(self) -> str:
        return self.section.versions[self.version]

    @property
    def can_shrink(self) -> bool:
        return self.version + 1 < len(self.section.versions)


def _fit(top: list[str], found: collections.abc.Iterable[sections.Section], limit: int) -> str:
    fitting = [_Fitting(section) for section in found]
    while _size(text := _joined(top, fitting)) > limit:
        shrinkable = [each for each in fitting if each.can_shrink]
        if not shrinkable:
            return _cut(top, limit)
        # The longest of the least important steps down first.
        least = max(each.section.importance for each in shrinkable)
        candidates = [each for each in shrinkable if each.section.importance == least]
        max(candidates, key=lambda each: _size(each.text)).version += 1
    return text


def _joined(top: list[str], fitting: list[_Fitting]) -> str:
    shortened = any(each.version for each in fitting)
    notes = [f"_{_LEFT_OUT}_"] if shortened else []
    parts = [*top, *notes, *(each.text for each in fitting if each.text)]
    return "\n\n".join(parts) + "\n"


def _cut(top: list[str], limit: int) -> str:
    """Give as many whole parts of the top as there is room for: a part cut in two is no Markdown."""
    end = f"\n\n_{_LEFT_OUT} {_STILL_TOO_LONG}_\n"
    text = ""
    for part in top:
        longer = f"{text}\n\n{part}" if text else part
        if _size(longer + end) > limit:
            break
        text = longer
    return text + end


def _size(text: str) -> int:
    return len(text.encode())
