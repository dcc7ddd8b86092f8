"""Telling a person what is being done: step, progress bar, elapsed time."""

import collections.abc
import contextlib
import io
import pathlib
import sys
import time

import rich.console
import rich.progress

console = rich.console.Console(
    stderr=True, highlight=False, width=None if sys.stderr.isatty() else 120
)
"""People's output goes to standard error; standard output is for results and `--json`."""


def save_picture(drawn: rich.console.RenderableType, path: pathlib.Path, title: str) -> None:
    """Write what would be printed as an SVG picture of a terminal."""
    recorder = rich.console.Console(record=True, width=120, file=io.StringIO(), highlight=False)
    recorder.print(drawn)
    recorder.save_svg(str(path), title=title)


class Step:
    """One running step: a line that shows how far it is."""

    def __init__(self, progress: rich.progress.Progress | None, task: rich.progress.TaskID) -> None:
        self._progress = progress
        self._task = task
        self.note = ""

    def total(self, count: float) -> None:
        """Say how much there is to do."""
        if self._progress:
            self._progress.update(self._task, total=count)

    def advance(self, by: float = 1) -> None:
        """Say that a part of it is done."""
        if self._progress:
            self._progress.advance(self._task, by)

    def describe(self, text: str) -> None:
        """Say what is being done right now."""
        if self._progress:
            self._progress.update(self._task, detail=text)


@contextlib.contextmanager
def step(title: str) -> collections.abc.Iterator[Step]:
    """Show a step while it runs, and one line with its time once it is done."""
    started = time.monotonic()
    progress = None
    if console.is_terminal:
        progress = rich.progress.Progress(
            rich.progress.SpinnerColumn(),
            rich.progress.TextColumn("{task.description:<28}"),
            rich.progress.BarColumn(bar_width=24),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("[dim]{task.fields[detail]}"),
            console=console,
            transient=True,
        )
        task = progress.add_task(title, total=None, detail="")
    else:
        console.print(f"… {title}")
        task = rich.progress.TaskID(0)
    current = Step(progress, task)
    try:
        with progress or contextlib.nullcontext():
            yield current
    except BaseException as error:
        console.print(f"[red]✗[/] {title:<28} [dim]{time.monotonic() - started:6.1f} s")
        if isinstance(error, KeyboardInterrupt):
            console.print("interrupted; the same command goes on from here")
        raise
    note = f"  {current.note}" if current.note else ""
    console.print(f"[green]✓[/] {title:<28} [dim]{time.monotonic() - started:6.1f} s{note}")
