"""Models: whether they serve, how they are called, and what their cards say."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from .doors import Away, objects, prometheus
from .experiments import standing

CARD = "card.json"
_FILE = "file://"

REQUESTS = "sum by (model, outcome) (bellwether_predictions_total)"
STEPS = "sum by (model, outcome) (bellwether_step_requests_total)"
SLOWEST = (
    "histogram_quantile(0.95, sum by (model, le) (rate(bellwether_prediction_seconds_bucket[5m])))"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """One Seldon model."""

    name: str
    ready: bool
    message: str
    uri: str
    requirements: tuple[str, ...]
    memory: str
    predictor: bool
    """Whether it forecasts; others are steps of pipelines."""

    @property
    def digest(self) -> str:
        """The artifact's name: its content's address."""
        return self.uri.rpartition("/")[2]


@dataclasses.dataclass(frozen=True, slots=True)
class Calls:
    """How models were called, by name, as Prometheus has it."""

    answered: Mapping[str, float]
    refused: Mapping[str, float]
    seconds: Mapping[str, float]
    """Below which 95 % of the last five minutes' answers were."""


async def read(door: objects.Objects) -> tuple[Model, ...]:
    """Give all models, predictors first."""
    found = [_model(each) for each in await door.listed("models")]
    return tuple(sorted(found, key=lambda each: (not each.predictor, each.name)))


async def calls(door: prometheus.Prometheus) -> Calls:
    """Ask Prometheus how models were called."""
    answered: dict[str, float] = {}
    refused: dict[str, float] = {}
    for query in (REQUESTS, STEPS):
        for each in await door.now(query):
            to = answered if each.labels.get("outcome") == "ok" else refused
            name = each.labels["model"]
            to[name] = to.get(name, 0.0) + each.value
    seconds = {each.labels["model"]: each.value for each in await door.now(SLOWEST)}
    return Calls(answered, refused, seconds)


def card(model: Model) -> Mapping[str, Any] | None:
    """Read the card that lies beside a model's artifact; None if it is not on this machine.

    Raises:
        Away: the artifact's folder cannot be read.

    """
    if not model.uri.startswith(_FILE):
        return None
    path = pathlib.Path(model.uri.removeprefix(_FILE)) / CARD
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Away("artifacts", f"{path} cannot be read: {error}") from error
    return found


def gains(held_out: Mapping[str, Any]) -> Sequence[tuple[str, float, float]]:
    """Give each measure of a card's evaluation beside that of the last value: (name, own, naive)."""
    own, naive = held_out.get("measures") or {}, held_out.get("naive") or {}
    return [
        (name, float(value), float(naive[name])) for name, value in own.items() if name in naive
    ]


def _model(body: objects.Object) -> Model:
    spec = body["spec"]
    ready, message = standing(body)
    requirements = tuple(spec.get("requirements") or ())
    return Model(
        name=body["metadata"]["name"],
        ready=ready,
        message=message,
        uri=str(spec.get("storageUri") or ""),
        requirements=requirements,
        memory=str(spec.get("memory") or ""),
        predictor="bellwether-predictor" in requirements,
    )
