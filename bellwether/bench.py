"""`bellwether bench`: benchmarks side by side, tables for people, one document for programs."""

import collections.abc
import json
import sys

import rich.markup
import rich.table

from bellwether import steps
from infra import paths
from infra.local import toolchain
from loadtests import benchmarks, endpoints
from loadtests.benchmarks import benchmark

FEWEST_ROUNDS = 5


def run(
    where: endpoints.Endpoints,
    names: collections.abc.Sequence[str],
    *,
    rounds: int,
    cli: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run the benchmarks named, or all of them, and print what came out.

    `cli` is the command that acts on the environment at `where`, such as `bellwether`.

    Raises:
        LoadTestError: a name is unknown, or a benchmark cannot run.

    """
    chosen = _chosen(names)
    if rounds < FEWEST_ROUNDS:
        raise endpoints.LoadTestError(
            f"{rounds} rounds say nothing about spread; give at least {FEWEST_ROUNDS}"
        )
    documents = {}
    for each in chosen:
        with steps.step(f"benchmark {each.name}") as step:
            result = each.run(_context(where, step, rounds, cli))
        documents[each.name] = result.document
        if not as_json:
            for table in result.tables:
                steps.console.print(_drawn(table))
    if as_json:
        json.dump(documents, sys.stdout, indent=2)
        sys.stdout.write("\n")


def _chosen(names: collections.abc.Sequence[str]) -> list[benchmark.Benchmark]:
    unknown = [name for name in names if name not in benchmarks.BENCHMARKS]
    if unknown:
        known = "\n".join(f"  {each.name}: {each.about}" for each in benchmarks.BENCHMARKS.values())
        raise endpoints.LoadTestError(f"benchmark {unknown[0]!r} is unknown; there are\n{known}")
    return [each for name, each in benchmarks.BENCHMARKS.items() if not names or name in names]


def _context(
    where: endpoints.Endpoints, step: steps.Step, rounds: int, cli: tuple[str, ...]
) -> benchmark.Context:
    step.total(1.0)
    shown = [0.0]

    def progress(done: float, what: str) -> None:
        step.advance(done - shown[0])
        shown[0] = done
        step.describe(what)

    return benchmark.Context(
        where=where,
        progress=progress,
        rounds=rounds,
        cli=cli,
        home=paths.home(),
        serving_python=str(toolchain.python_of("serving")),
    )


def _drawn(table: benchmark.Table) -> rich.table.Table:
    drawn = rich.table.Table(
        title=table.title, title_justify="left", caption=table.note, caption_justify="left"
    )
    for number, column in enumerate(table.columns):
        drawn.add_column(column, justify="right" if number else "left")
    for row in table.rows:
        drawn.add_row(*map(rich.markup.escape, row))
    return drawn
