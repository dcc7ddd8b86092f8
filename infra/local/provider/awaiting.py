"""Waiting for a condition, with a limit and a reason when it is not met."""

import collections.abc
import time

from infra.local.provider import handler

_INTERVAL_SECONDS = 0.05


def until(
    failure: collections.abc.Callable[[], str | None],
    timeout: float,
    what: str,
    explain: collections.abc.Callable[[], str] = lambda: "",
) -> None:
    """Ask `failure` again and again until it has none.

    Args:
        failure: gives None once the condition holds, else why it does not.
        timeout: seconds.
        what: what is waited for, as the subject of a sentence.
        explain: more to say if it never holds, such as the last lines of a log.

    Raises:
        handler.ResourceError: the condition did not hold within the time.

    """
    deadline = time.monotonic() + timeout
    while (reason := failure()) is not None:
        if time.monotonic() > deadline:
            raise handler.ResourceError(
                f"{what} is not ready after {timeout:.0f} s: {reason}\n{explain()}".rstrip()
            )
        time.sleep(_INTERVAL_SECONDS)  # between two questions, never instead of one
