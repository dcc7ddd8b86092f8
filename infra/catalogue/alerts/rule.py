"""What a rule of Prometheus is made of, and how long its times are."""

import collections.abc
import dataclasses
import datetime as dt
import re
import typing

Severity = typing.Literal["critical", "warning"]
"""`critical`: somebody has to act now. `warning`: somebody has to look today."""

Target = typing.Literal["local", "cluster"]
BOTH: tuple[Target, ...] = ("local", "cluster")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+)([smhd])")
_FEWEST_SECONDS = 15
"""No window is shorter than this: three scrapes, of which a rate needs two."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert. Summary and description are Prometheus' templates."""

    name: str
    expression: str
    severity: Severity
    summary: str
    description: str
    runbook: str
    """The page in `docs/runbooks`, without its suffix."""
    hold: str = "0s"
    """How long the expression has to be true."""
    labels: collections.abc.Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Of the alert, beside its severity and what the expression leaves."""
    targets: tuple[Target, ...] = BOTH
    """Where there are the metrics that it asks for."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One recording rule: an expression under a name of its own."""

    name: str
    expression: str
    labels: collections.abc.Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated one after another."""

    name: str
    rules: tuple[Alert | Record, ...]
    interval: str | None = None
    """How often; as often as Prometheus does by itself where it is left out."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """How long the times of rules are, relative to what they are for operations."""

    factor: float = 1.0

    def window(self, text: str) -> str:
        """Give a range to look back over, such as `5m`: at least three scrapes."""
        return _text(max(_FEWEST_SECONDS, self._seconds(text)))

    def hold(self, text: str) -> str:
        """Give a time to wait, such as `10m`."""
        return _text(self._seconds(text))

    def _seconds(self, text: str) -> int:
        return round(duration(text).total_seconds() * self.factor)


def duration(text: str) -> dt.timedelta:
    """Read a duration of one number and one unit, such as `90s`, `5m`, `6h`, `3d`.

    Raises:
        ValueError: it is not that.

    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no duration: write a number and s, m, h or d, such as 5m")
    return dt.timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _text(seconds: int) -> str:
    fitting = [unit for unit, size in _UNITS.items() if seconds >= size and seconds % size == 0]
    unit = max(fitting, key=_UNITS.__getitem__, default="s")
    return f"{seconds // _UNITS[unit]}{unit}"
