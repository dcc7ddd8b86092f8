"""What the demos' command lines have in common: options, results, errors in one message."""

import collections.abc
import json
import pathlib
import signal
import sys
import typing

import rich.markup
import rich.table
import typer

from bellwether import demos, environment, features, steps
from infra import settings
from loadtests import durations, endpoints
from models import sources

INTERRUPTED = 130

DurationOption = typing.Annotated[str, typer.Option(help="How long, such as 45s or 2m.")]
StackOption = typing.Annotated[
    str, typer.Option("--stack", "-s", envvar="BELLWETHER_STACK", help="The stack to ask.")
]
SymbolOption = typing.Annotated[str, typer.Option(help="Whose days, such as SPX.")]
PictureOption = typing.Annotated[
    pathlib.Path | None,
    typer.Option(
        help="Where the picture goes (PNG); .bellwether/pictures if left out.", resolve_path=True
    ),
]
JsonOption = typing.Annotated[
    bool, typer.Option("--json", help="Print the summary as JSON on standard output.")
]

DURATION = "60s"
SYMBOL = "SPX"

EXPECTED = (
    demos.DemoError,
    endpoints.LoadTestError,
    environment.EnvironmentFailedError,
    features.FeatureStoreError,
    settings.SettingsError,
    sources.DataError,
)
"""Errors whose message is all that a person needs."""


def run(command: collections.abc.Callable[..., None]) -> None:
    """Run a demo's command line; what is wrong is said in one message, without a traceback.

    The exit code is 0 if it ran, 1 if it could not, 2 for a wrong option.
    """
    # A shell's background job is born deaf to interrupts; a demo takes away what it has made.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(help=command.__doc__)(command)
    try:
        app(standalone_mode=True)
    except EXPECTED as error:
        steps.console.print(f"[red]error:[/] {rich.markup.escape(str(error))}")
        sys.exit(1)
    except KeyboardInterrupt:
        steps.console.print("interrupted")
        sys.exit(INTERRUPTED)


def seconds(duration: str) -> int:
    """Read a duration; raises `LoadTestError` with what is right."""
    return durations.seconds(duration)


def picture_path(stack: environment.Stack, wanted: pathlib.Path | None, name: str) -> pathlib.Path:
    """Give the path of a demo's picture, in a folder that exists.

    Raises:
        DemoError: the folder cannot be made, or the name is no PNG's.

    """
    path = wanted or stack.home / "pictures" / f"{name}.png"
    if path.suffix != ".png":
        raise demos.DemoError(f"{path}: pictures are PNG files; give a name that ends in .png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise demos.DemoError(f"{path.parent} cannot be made: {error}") from error
    return path


def table(
    columns: collections.abc.Sequence[str],
    rows: collections.abc.Iterable[collections.abc.Sequence[str]],
    title: str = "",
) -> rich.table.Table:
    """Make a table whose first column holds names, the others numbers."""
    made = rich.table.Table(title=title or None, title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    for row in rows:
        made.add_row(*row)
    return made


def say(*what: typing.Any) -> None:
    """Print for people: on standard error."""
    for each in what:
        steps.console.print(each)


def print_document(document: collections.abc.Mapping[str, typing.Any]) -> None:
    """Print for programs: on standard output."""
    json.dump(document, sys.stdout, indent=2, default=str, allow_nan=False)
    sys.stdout.write("\n")
