"""What a person sees while a demo runs: a table that changes, or lines where no terminal is."""

import collections.abc
import time
import types
import typing

import rich.console
import rich.live
import rich.progress

from bellwether import steps

LINES = 12
"""Lines that a whole demo prints where no terminal is."""


class Screen:
    """Shows a table and how much time is left; `console` is a terminal, or is given lines."""

    def __init__(
        self, title: str, seconds: float, console: rich.console.Console | None = None
    ) -> None:
        self._console = console or steps.console
        self._title = title
        self._seconds = seconds
        self._began = time.monotonic()
        self._line_due = 0.0
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(bar_width=30),
            rich.progress.TextColumn("{task.fields[detail]}"),
            console=self._console,
        )
        self._task = self._bar.add_task(title, total=seconds, detail="")
        self._live: rich.live.Live | None = None

    def __enter__(self) -> typing.Self:
        self._began = time.monotonic()
        if self._console.is_terminal:
            self._live = rich.live.Live(console=self._console, transient=True, refresh_per_second=8)
            self._live.start()
        else:
            self._console.print(f"… {self._title}, {self._seconds:.0f} s")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def show(
        self,
        table: collections.abc.Callable[[], rich.console.RenderableType],
        line: collections.abc.Callable[[], str],
    ) -> None:
        """Show how it stands: as `table` on a terminal, else as `line` every now and then."""
        elapsed = time.monotonic() - self._began
        left = f"{max(0.0, self._seconds - elapsed):.0f} s left"
        if self._live:
            self._bar.update(self._task, completed=min(elapsed, self._seconds), detail=left)
            self._live.update(rich.console.Group(table(), self._bar))
        elif elapsed >= self._line_due:
            self._line_due += self._seconds / LINES
            self._console.print(f"{elapsed:5.0f} s  {line()}  ({left})", markup=False)
