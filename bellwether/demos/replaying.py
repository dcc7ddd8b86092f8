"""`bellwether replay` in a process of its own, which can be held for a while."""

import collections.abc
import datetime as dt
import os
import signal
import subprocess
import sys
import tempfile
import types
import typing

from bellwether import demos
from infra import paths

END_SECONDS = 15.0
"""How long a replay that is asked to end may take."""


class Replay:
    """A running replay of history as a stream."""

    def __init__(
        self,
        command: collections.abc.Sequence[str],
        variables: collections.abc.Mapping[str, str] | None = None,
    ) -> None:
        self._command = list(command)
        self._variables = {**os.environ, **(variables or {})}

    def __enter__(self) -> typing.Self:
        self._said = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            cwd=paths.ROOT,
            env=self._variables,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            # A held process takes no signal but this one.
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._said.close()

    def hold(self) -> None:
        """Let no bar arrive until `go_on`."""
        self.check()
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let the bars arrive again."""
        self._process.send_signal(signal.SIGCONT)

    @property
    def ended(self) -> bool:
        """Whether all of its history has been sent."""
        return self._process.poll() == 0

    def check(self) -> None:
        """Raise DemoError, with what it said, if it failed."""
        code = self._process.poll()
        if code:
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip()[-2000:]
            raise demos.DemoError(
                f"`bellwether replay` ended with {code}: {said or 'it said nothing'}"
            )


def of_history(stack: str, speed: float, begin: dt.date) -> Replay:
    """Give the replay of history from a day on, `speed` trading days a second."""
    command = (sys.executable, "-m", "bellwether", "replay")
    options = ("--speed", f"{speed:g}", "--from", begin.isoformat())
    return Replay((*command, *options), {"BELLWETHER_STACK": stack})
