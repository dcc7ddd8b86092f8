"""A load test's report: a page as Markdown and HTML, and a few lines for a pull request."""

import base64
import collections.abc
import html
import pathlib

import markdown_it

from loadtests import comparison, plan, summary

_FILES = (
    "[Locust's report](locust.html), [its statistics](locust_stats.csv), "
    "[every request](samples.csv), [this summary for programs](summary.json), "
    "[what was to be done](plan.json)."
)
_NOISE = (
    "Intervals are of 95 % for the whole table, and hold the noise of the machine from one run to "
    "the next."
)
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;"
    "color:#1c1c1c;background:#fff}img{max-width:100%}table{border-collapse:collapse}"
    "td,th{border-bottom:1px solid #d8d8d8;padding:.25rem .8rem;text-align:right}"
    "td:first-child,th:first-child{text-align:left}h1,h2{line-height:1.2}"
)


def write(
    of: plan.Plan,
    came_out: summary.Summary,
    picture: pathlib.Path,
    compared: comparison.Comparison | None = None,
) -> pathlib.Path:
    """Write `summary.md`, `report.html` and `comment.md` into the plan's folder.

    `report.html` needs no other file; `comment.md` is small enough for a pull request.
    Returns the path of `report.html`.
    """
    text = page(of, came_out, picture.name, compared)
    (of.folder / "summary.md").write_text(text)
    (of.folder / "comment.md").write_text(comment(of, came_out, compared))
    path = of.folder / "report.html"
    path.write_text(_html(f"Load test: {of.journey}", text, picture))
    return path


def comment(
    of: plan.Plan, came_out: summary.Summary, compared: comparison.Comparison | None = None
) -> str:
    """Return what a pull request is told: what is wrong first, then a line for each journey."""
    sections = [
        f"### Load test: {of.journey}, {of.shape}, {of.protocol}",
        _sentence(of, came_out),
        "\n".join(f"- {sentence}" for sentence in came_out.broken),
        *_regressions(compared),
        _table(journey_columns(), journey_rows(came_out)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def page(
    of: plan.Plan,
    came_out: summary.Summary,
    picture: str,
    compared: comparison.Comparison | None = None,
) -> str:
    """Return the page."""
    sections = [
        f"# Load test: {of.journey}, {of.shape}, {of.protocol}",
        _sentence(of, came_out),
        "\n".join(f"- {sentence}" for sentence in came_out.broken),
        *_regressions(compared),
        f"![latency and throughput over time]({picture})",
        "## Journeys",
        f"Latency and throughput without the first {came_out.warm_up_seconds:g} s.",
        _table(journey_columns(), journey_rows(came_out)),
        *_failures(came_out),
        *_split(came_out),
        "## Thresholds",
        _table(verdict_columns(), verdict_rows(came_out)),
        *_compared(compared),
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


def comparison_columns() -> tuple[str, ...]:
    """Return the heading of a comparison."""
    return ("journey", "measure", "baseline", "now", "now / baseline", "interval", "")


def comparison_rows(compared: comparison.Comparison) -> list[tuple[str, ...]]:
    """Return a row for each comparison, the slower ones first."""
    return [
        (
            row.journey,
            row.measure,
            *("-" if value is None else f"{value:.4g}" for value in (row.before, row.now)),
            "-" if row.ratio is None else f"{row.ratio:.2f}",
            "-" if row.low is None or row.high is None else f"{row.low:.2f} to {row.high:.2f}",
            "SLOWER" if row.verdict == "slower" else row.verdict,
        )
        for row in compared.rows
    ]


def comparison_sentence(compared: comparison.Comparison) -> str:
    """Say what a comparison came to."""
    runs = f"{compared.runs} run{'s' * (compared.runs != 1)}"
    against = f"Beside the baseline `{compared.baseline}` ({runs})"
    if compared.slower:
        return f"{against} **{len(compared.slower)} of {len(compared.rows)} measures are worse.**"
    return f"{against} nothing is slower than noise explains."


def _regressions(compared: comparison.Comparison | None) -> list[str]:
    if compared is None:
        return []
    listed = "\n".join(f"- {sentence}" for sentence in compared.regressions)
    return [comparison_sentence(compared), listed]


def _compared(compared: comparison.Comparison | None) -> list[str]:
    if compared is None:
        return []
    return [
        f"## Beside `{compared.baseline}`",
        _table(comparison_columns(), comparison_rows(compared)),
        _NOISE,
    ]


def _html(title: str, text: str, picture: pathlib.Path) -> str:
    """Render a page, with its picture inside; markup in the text stays text."""
    renderer = markdown_it.MarkdownIt("commonmark", {"html": False}).enable("table")
    body = renderer.render(text)
    image = base64.b64encode(picture.read_bytes()).decode()
    body = body.replace(f'src="{picture.name}"', f'src="data:image/png;base64,{image}"')
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def _sentence(of: plan.Plan, came_out: summary.Summary) -> str:
    verdict = "All thresholds hold." if came_out.holds else "**Thresholds do not hold.**"
    return (
        f"{of.users} users at most, {_rates(of)}, {of.seconds} s "
        f"against {of.gateway} (thresholds of `{of.stack}`). {verdict}"
    )


def _rates(of: plan.Plan) -> str:
    if len(of.journey.parts) == 1:
        return f"{of.rate:g} requests/s each"
    rates = ", ".join(f"{part} {of.rate_of(part):g}" for part in of.journey.parts)
    return f"requests/s each: {rates}"


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
