"""What supervisord runs for every process: `launch.py SPEC.json` becomes the process that SPEC describes.

It uses the standard library alone, so that it starts in a few milliseconds with `python -I -S`.

Two things are done on the way:

- Output goes straight to the process's log, not through supervisord's pipes:
  a process outlives supervisord.
- If supervisord died and was started again, the process of before still serves.
  It is not started twice: this launcher waits for it, passes signals on, and starts a new one once it ends.
"""

import json
import os
import pathlib
import select
import signal
import sys

MARKER = "BELLWETHER_PROCESS"
"""Variable that marks what an environment started: `<home>|<name>|<digest of the specification>`."""

LOG_LIMIT_BYTES = 20 * 2**20
"""A log that has grown beyond this is moved to `<log>.1` when its process starts."""


def marker(home: str, name: str, digest: str) -> str:
    """Give the value of `MARKER` for one process of the environment at `home`."""
    return f"{home}|{name}|{digest}"


def find(prefix: str) -> list[tuple[int, str]]:
    """Find living processes whose marker begins with `prefix`, as (pid, marker), oldest first."""
    needle = f"{MARKER}=".encode()
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:  # it ended while we looked, or belongs to somebody else
            continue
        value = next((v[len(needle) :].decode() for v in variables if v.startswith(needle)), "")
        if value.startswith(prefix) and state != "Z":
            found.append((int(entry.name), value))
    return sorted(found)


def _rotate(log: pathlib.Path) -> None:
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_name(log.name + ".1"))


def _stand_in_for(pid: int) -> None:
    """Wait until process `pid` ends, handing it the signals that are meant for it."""
    stopping = False

    def pass_on(number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        os.kill(pid, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, pass_on)
    descriptor = os.pidfd_open(pid)
    select.select([descriptor], [], [])
    os.close(descriptor)
    if stopping:
        sys.exit(0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def main(path: str) -> None:
    """Become the process that the specification at `path` describes."""
    spec = json.loads(pathlib.Path(path).read_text())
    mine = marker(spec["home"], spec["name"], spec["digest"])
    parents = {os.getpid(), os.getppid()}
    for pid, value in find(marker(spec["home"], spec["name"], "")):
        if pid in parents:
            continue
        if value == mine:
            _stand_in_for(pid)
        else:  # an older specification's process: it makes room
            descriptor = os.pidfd_open(pid)
            os.kill(pid, signal.SIGTERM)
            if not select.select([descriptor], [], [], 10)[0]:
                os.kill(pid, signal.SIGKILL)
                select.select([descriptor], [], [])
            os.close(descriptor)
    log = pathlib.Path(spec["log"])
    log.parent.mkdir(parents=True, exist_ok=True)
    _rotate(log)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.chdir(spec["directory"])
    environment = {**os.environ, **spec["environment"], MARKER: mine}
    environment.pop("SUPERVISOR_SERVER_URL", None)
    os.execvpe(spec["command"][0], spec["command"], environment)  # noqa: S606  a list, no shell


if __name__ == "__main__":
    main(sys.argv[1])
