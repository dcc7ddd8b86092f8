"""What a load test is to do: written by `bellwether load`, read inside Locust."""

import collections.abc
import dataclasses
import enum
import json
import os
import pathlib
import typing

from loadtests import access, course, itinerary

VARIABLE = "BELLWETHER_LOAD_PLAN"
"""The environment variable that leads Locust to the plan's file."""


class Kind(enum.StrEnum):
    """The kinds of requests that are written down before a test."""

    FORECAST = "forecast"
    DECISION = "decision"
    EXPLANATION = "explanation"


_KINDS = {
    itinerary.Journey.MODEL: Kind.FORECAST,
    itinerary.Journey.EXPERIMENT: Kind.FORECAST,
    itinerary.Journey.PIPELINE: Kind.DECISION,
    itinerary.Journey.EXPLANATION: Kind.EXPLANATION,
    itinerary.Journey.REWARD: Kind.FORECAST,
}


def kinds(of: itinerary.Journey) -> tuple[Kind, ...]:
    """Return the kinds of requests that a journey needs."""
    return tuple(dict.fromkeys(_KINDS[part] for part in of.parts))


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """One load test: who asks what how often, and where its files are."""

    journey: itinerary.Journey
    users: int
    """The most at a time."""
    seconds: int
    rate: float
    """Requests a second of each user; of a mixed journey's, times the pace of its part."""
    stack: str
    gateway: str
    mesh: str | None
    """Where the Seldon objects are; None if it is not known for this gateway."""
    namespace: str
    models: tuple[str, ...]
    experiment: str
    weights: dict[str, int] | None
    """The experiment's declared weights at the start; None if they are not known."""
    folder: pathlib.Path
    shape: course.Shape = course.Shape.STEADY
    protocol: itinerary.Protocol = itinerary.Protocol.REST
    pipeline: str = ""
    explainer: str = ""
    reward: str = ""
    host: str | None = None
    ca_file: str | None = None

    def requests(self, kind: Kind) -> pathlib.Path:
        """The requests of a kind, one a line."""
        return self.folder / f"requests-{kind}.jsonl"

    @property
    def samples(self) -> pathlib.Path:
        """Every request that was sent, one a line."""
        return self.folder / "samples.csv"

    @property
    def due(self) -> pathlib.Path:
        """How many requests were due in each second of each journey."""
        return self.folder / "due.csv"

    @property
    def summary(self) -> pathlib.Path:
        """What came out, as JSON."""
        return self.folder / "summary.json"

    @property
    def access(self) -> access.Access:
        """How the gateway is reached."""
        return access.Access(self.gateway, self.host, self.ca_file)

    def users_at(self, second: float) -> int:
        """Return how many users there are at a second."""
        return self.shape.users(self.users, second, self.seconds)

    def rate_of(self, part: itinerary.Journey) -> float:
        """Return the requests a second of a user on a journey."""
        return self.rate * part.pace if self.journey is itinerary.Journey.MIXED else self.rate

    def write(self) -> pathlib.Path:
        """Write the plan into its folder."""
        path = self.folder / "plan.json"
        document = dataclasses.asdict(self) | {"folder": str(self.folder)}
        path.write_text(json.dumps(document, indent=1))
        return path


def read() -> Plan:
    """Read the plan that `VARIABLE` names."""
    path = os.environ.get(VARIABLE)
    if not path:
        raise SystemExit(f"{VARIABLE} is not set; start load tests by `bellwether load`")
    return parse(json.loads(pathlib.Path(path).read_text()))


def parse(document: collections.abc.Mapping[str, typing.Any]) -> Plan:
    """Read what `Plan.write` wrote."""
    return Plan(
        **dict(document)
        | {
            "journey": itinerary.Journey(document["journey"]),
            "shape": course.Shape(document["shape"]),
            "protocol": itinerary.Protocol(document["protocol"]),
            "models": tuple(document["models"]),
            "folder": pathlib.Path(document["folder"]),
        }
    )
