"""What a load test is to do: written by `bellwether load`, read inside Locust."""

import dataclasses
import json
import os
import pathlib

from loadtests import thresholds

VARIABLE = "BELLWETHER_LOAD_PLAN"
"""The environment variable that leads Locust to the plan's file."""


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """One load test: who asks what how often, and where its files are."""

    journey: thresholds.Journey
    users: int
    seconds: int
    rate: float
    """Requests a second of each user."""
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

    @property
    def requests(self) -> pathlib.Path:
        """The bodies to send, one a line."""
        return self.folder / "requests.jsonl"

    @property
    def samples(self) -> pathlib.Path:
        """Every request that was sent, one a line."""
        return self.folder / "samples.csv"

    @property
    def summary(self) -> pathlib.Path:
        """What came out, as JSON."""
        return self.folder / "summary.json"

    def users_of(self, part: thresholds.Journey) -> int:
        """Return how many users go on a journey: half of them each if it is mixed."""
        if self.journey is not thresholds.Journey.MIXED:
            return self.users
        rest = self.users // 2
        return self.users - rest if part is thresholds.Journey.MODELS else rest

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
    document = json.loads(pathlib.Path(path).read_text())
    return Plan(
        **document
        | {
            "journey": thresholds.Journey(document["journey"]),
            "models": tuple(document["models"]),
            "folder": pathlib.Path(document["folder"]),
        }
    )
