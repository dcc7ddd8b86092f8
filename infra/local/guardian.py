"""The process that watches supervisord, while supervisord watches it.

supervisord restarts what dies, but nothing restarts supervisord.
This process, one of its own, waits for its parent's death and then starts a new supervisord.
A supervisord that is asked to stop ends this process first, so an orderly stop stays a stop.
"""

import os
import select
import subprocess
import sys


def main(command: list[str]) -> None:
    """Wait for the parent to die, then start `command` in a session of its own."""
    parent = os.getppid()
    try:
        descriptor = os.pidfd_open(parent)
    except ProcessLookupError:  # it died before we looked
        pass
    else:
        if os.getppid() == parent:
            select.select([descriptor], [], [])
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SUPERVISOR_")}
    subprocess.Popen(
        command,
        env=environment,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
