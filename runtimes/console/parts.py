"""Everything that the console reads, behind one object; and how each part stands."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

from . import experiments, features, live, models, predictions, regimes
from .doors import (
    Away,
    Missing,
    Part,
    Refused,
    gateway,
    monitor,
    objects,
    prometheus,
    store,
    topics,
)
from .settings import Settings

STANDING_SECONDS = 3.0
EXPERIMENT_SECONDS = 1.0
EPOCHS_SECONDS = 3.0
PREDICTIONS_SECONDS = 2.0
CHOICES_SECONDS = 2.0
FEATURES_SECONDS = 3.0
MODELS_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Doors:
    """One of each."""

    gateway: gateway.Gateway
    objects: objects.Objects
    topics: topics.Topics
    store: store.Store
    prometheus: prometheus.Prometheus
    monitor: monitor.Monitor | None
    """None: there is none."""

    @classmethod
    def of(cls, given: Settings) -> "Doors":
        """Open none of them yet: a part that is away is no reason not to begin."""
        return cls(
            gateway.Gateway(given.gateway),
            objects.Objects(given.api, given.namespace, given.service_account),
            topics.Topics(given.kafka),
            store.Store(given.valkey),
            prometheus.Prometheus(given.prometheus),
            None if given.monitor is None else monitor.Monitor(given.monitor),
        )

    async def close(self) -> None:
        """Give all connections back."""
        await asyncio.gather(
            self.gateway.close(),
            self.objects.close(),
            self.topics.close(),
            self.store.close(),
            self.prometheus.close(),
            *(() if self.monitor is None else (self.monitor.close(),)),
        )


class Console:
    """What all pages share."""

    def __init__(self, given: Settings) -> None:
        self.settings = given
        self.doors = doors = Doors.of(given)
        self.standing: live.Live[tuple[Part, ...]] = live.Live(
            lambda: _standing(doors), STANDING_SECONDS
        )
        self.experiments: live.Live[tuple[experiments.Experiment, ...]] = live.Live(
            lambda: experiments.read(doors.objects), EXPERIMENT_SECONDS
        )
        self.epochs: live.Live[tuple[experiments.Epoch, ...]] = live.Live(
            lambda: experiments.epochs(doors.topics), EPOCHS_SECONDS
        )
        self.predictions: live.Live[tuple[predictions.Row, ...]] = live.Live(
            lambda: predictions.newest(doors.topics, given.namespace, given.pipeline),
            PREDICTIONS_SECONDS,
        )
        self.choices: live.Live[tuple[regimes.Choice, ...]] = live.Live(
            lambda: regimes.choices(doors.topics), CHOICES_SECONDS
        )
        self.enriched: live.Live[tuple[features.Enriched, ...]] = live.Live(
            lambda: features.requests(doors.topics), FEATURES_SECONDS
        )
        self.drift: live.Live[tuple[features.Drift, ...]] = live.Live(
            lambda: features.drift(doors.store), FEATURES_SECONDS
        )
        self.alerts: live.Live[tuple[features.Alert, ...]] = live.Live(
            lambda: features.alerts(doors.topics), FEATURES_SECONDS
        )
        self.watched: live.Live[features.Watched] = live.Live(
            lambda: features.watched(doors.prometheus), FEATURES_SECONDS
        )
        self.models: live.Live[tuple[models.Model, ...]] = live.Live(
            lambda: models.read(doors.objects), MODELS_SECONDS
        )
        self.calls: live.Live[models.Calls] = live.Live(
            lambda: models.calls(doors.prometheus), MODELS_SECONDS
        )

        self.windows: live.Live[tuple[monitor.Window, ...]] = live.Live(
            lambda: _windows(doors), MODELS_SECONDS
        )

    async def warm(self) -> None:
        """Read everything once, so that the first page does not wait for connections."""
        for each in (self.standing, self.experiments, self.epochs, self.predictions):
            await each.look()


async def _windows(doors: Doors) -> tuple[monitor.Window, ...]:
    return () if doors.monitor is None else await doors.monitor.windows()


async def _standing(doors: Doors) -> tuple[Part, ...]:
    checks: list[tuple[str, str, Callable[[], Awaitable[object]]]] = [
        ("gateway", doors.gateway.address, lambda: doors.gateway.ask("GET", "/v2/health/ready")),
        ("API server", doors.objects.address, lambda: doors.objects.listed("experiments")),
        (topics.PART, doors.topics.address, doors.topics.ping),
        (store.PART, doors.store.address, doors.store.ping),
        ("Prometheus", doors.prometheus.address, lambda: doors.prometheus.ask("GET", "/-/ready")),
    ]
    known = doors.monitor
    if known is not None:
        checks.append((known.part, known.address, lambda: known.ask("GET", "/ready")))
    return tuple(
        await asyncio.gather(*(_part(name, address, check) for name, address, check in checks))
    )


async def _part(name: str, address: str, check: Callable[[], Awaitable[object]]) -> Part:
    try:
        await check()
    except Away as error:
        return Part(name, address, str(error))
    except (Missing, Refused):
        pass  # it answers: what it says to this question is of no interest here
    return Part(name, address, None)
