"""A load test's summary as Markdown, for a person or a pull request."""

import collections.abc
import pathlib

from loadtests import plan, summary

_FILES = (
    "[Locust's report](report.html), [its statistics](locust_stats.csv), "
    "[every request](samples.csv), [this summary for programs](summary.json), "
    "[what was to be done](plan.json)."
)


def write(of: plan.Plan, came_out: summary.Summary, picture: pathlib.Path) -> pathlib.Path:
    """Write `summary.md` into the plan's folder, and return its path."""
    path = of.folder / "summary.md"
    path.write_text(page(of, came_out, picture.name))
    return path


def page(of: plan.Plan, came_out: summary.Summary, picture: str) -> str:
    """Return the page."""
    sections = [
        f"# Load test: {of.journey}",
        _sentence(of, came_out),
        "\n".join(f"- {sentence}" for sentence in came_out.broken),
        f"![latency and throughput over time]({picture})",
        "## Journeys",
        f"Latency and throughput without the first {came_out.warm_up_seconds:g} s.",
        _table(journey_columns(), journey_rows(came_out)),
        *_failures(came_out),
        *_split(came_out),
        "## Thresholds",
        _table(verdict_columns(), verdict_rows(came_out)),
        "## Files",
        _FILES,
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def journey_columns() -> tuple[str, ...]:
    """Return the heading of the journeys."""
    return ("journey", "requests", "failed", "requests/s", "p50 ms", "p95 ms", "p99 ms", "max ms")


def journey_rows(came_out: summary.Summary) -> list[tuple[str, ...]]:
    """Return a row for each journey."""
    return [
        (
            part.journey,
            f"{part.requests:,}",
            f"{part.failed:,}",
            f"{part.requests_per_second:.1f}",
            *(
                "-" if value is None else f"{value:.1f}"
                for value in (part.p50_ms, part.p95_ms, part.p99_ms, part.max_ms)
            ),
        )
        for part in came_out.parts
    ]


def split_columns() -> tuple[str, ...]:
    """Return the heading of the split."""
    return ("arm", "declared", "observed", "answers")


def split_rows(split: summary.Split) -> list[tuple[str, ...]]:
    """Return a row for each arm."""
    answers = sum(count for *_, count in split.arms) or 1
    return [
        (arm, f"{share:.1%}", f"{count / answers:.1%}", f"{count:,}")
        for arm, share, count in split.arms
    ]


def split_sentence(split: summary.Split) -> str:
    """Say what the test of the split says."""
    if split.chi_square is None or split.p_value is None:
        return split.note
    return (
        f"χ² = {split.chi_square:.2f} with {len(split.arms) - 1} degrees of freedom, "
        f"p = {split.p_value:.4f}"
    )


def verdict_columns() -> tuple[str, ...]:
    """Return the heading of the thresholds."""
    return ("journey", "measure", "threshold", "measured", "")


def verdict_rows(came_out: summary.Summary) -> list[tuple[str, ...]]:
    """Return a row for each threshold."""
    words = {True: "holds", False: "FAILS", None: "not tested"}
    return [
        (verdict.journey, verdict.measure, verdict.limit, verdict.measured, words[verdict.holds])
        for verdict in came_out.verdicts
    ]


def _sentence(of: plan.Plan, came_out: summary.Summary) -> str:
    verdict = "All thresholds hold." if came_out.holds else "**Thresholds do not hold.**"
    return (
        f"{of.users} users, {of.rate:g} requests/s each, {of.seconds} s "
        f"against {of.gateway} (thresholds of `{of.stack}`). {verdict}"
    )


def _failures(came_out: summary.Summary) -> list[str]:
    rows = [
        (part.journey, failure, f"{count:,}")
        for part in came_out.parts
        for failure, count in part.failures.items()
    ]
    return ["## Failures", _table(("journey", "failure", "times"), rows)] if rows else []


def _split(came_out: summary.Summary) -> list[str]:
    if came_out.split is None:
        return []
    return [
        "## The experiment's split",
        _table(split_columns(), split_rows(came_out.split)),
        split_sentence(came_out.split) + ".",
    ]


def _table(columns: tuple[str, ...], rows: collections.abc.Sequence[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
