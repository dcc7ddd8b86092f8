"""What a benchmark is: a name, a line about it, and a function from a context to a result."""

import collections.abc
import dataclasses
import pathlib
import statistics
from typing import Any

from loadtests import endpoints


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """What a benchmark may use.

    `progress` is told the share that is done, 0..1, and what is being measured.
    `rounds` is how often each thing is measured, at least five where things are compared.
    """

    where: endpoints.Endpoints
    progress: collections.abc.Callable[[float, str], None]
    rounds: int = 5
    experiment: str = "financial-mab-experiment"
    cli: tuple[str, ...] = ("bellwether",)
    """The command that brings the environment up, for what measures that."""
    home: pathlib.Path | None = None
    """The environment's folder, for what looks into it."""
    serving_python: str | None = None
    """The Python that has what models are served with, for what calls them without a server."""
    root: pathlib.Path = pathlib.Path(__file__).parents[2]
    """The checkout."""


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A table for people: its title, its columns, its rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What came out: tables for people, a document for programs."""

    tables: tuple[Table, ...]
    document: dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Benchmark:
    """One entry of the registry."""

    name: str
    about: str
    run: collections.abc.Callable[[Context], Result]


@dataclasses.dataclass(frozen=True, slots=True)
class Spread:
    """Minimum, median and maximum over rounds."""

    minimum: float
    median: float
    maximum: float

    @classmethod
    def of(cls, values: collections.abc.Iterable[float]) -> "Spread":
        """Sum up one value a round."""
        known = list(values)
        return cls(min(known), statistics.median(known), max(known))

    def cells(self, digits: int) -> tuple[str, str, str]:
        """Write the three values for a table."""
        return (
            f"{self.minimum:,.{digits}f}",
            f"{self.median:,.{digits}f}",
            f"{self.maximum:,.{digits}f}",
        )
