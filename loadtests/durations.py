"""Durations as people write them: `30s`, `2m`, `1m30s`."""

import re

from loadtests import endpoints

SHORTEST = 5
LONGEST = 24 * 3600

_DURATION = re.compile(r"(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+)s)?")


def seconds(text: str) -> int:
    """Return the seconds of a duration; raises `LoadTestError` with what is right."""
    match = _DURATION.fullmatch(text.strip())
    if not match or not match[0]:
        raise endpoints.LoadTestError(
            f"{text!r} is not a duration; write it with a unit, such as 30s, 2m or 1m30s"
        )
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    total = 3600 * hours + 60 * minutes + rest
    if not SHORTEST <= total <= LONGEST:
        raise endpoints.LoadTestError(
            f"a load test takes {SHORTEST}s to {LONGEST // 3600}h, {text!r} is {total} s: "
            "shorter ones measure nothing but the start"
        )
    return total
