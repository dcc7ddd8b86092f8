"""The smallest change of today that flips a forecast (Wachter, Mittelstadt and Russell 2018).

What may change is how today went (see `scenario`); the distance is Euclidean, in the month's
deviations of a day for the return and in what is usual for the variance and the other markets.
The search looks along rays, halves the way to the border on the nearest ones, and looks again
around the best: it needs no gradient, so that trees are searched like networks.
Nothing that changes goes beyond what training observed.
A counterfactual is given only if the deployed artifact, asked once more as it is served, flips.
"""

import dataclasses
import time
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from runtimes.predictor import artifact

from . import bundle, permutations, scenario

Array = artifact.Array

Output = Literal["volatility", "direction"]

SHARE = 0.2
"""A volatility flips by default when it is this much higher or lower."""

EVEN = 0.5
"""A direction flips here."""

MARGIN = 1e-6
"""How far beyond the border a flip has to be: a row alone may round otherwise than among others."""

RAYS, RADII = 120, 24
NEAREST, FARTHEST = 0.02, 12.0
"""Distances that are looked at first."""
KEPT = 12
HALVINGS = 16
ROUNDS, AROUND = 5, 40
CHUNK = 2048
"""Rows that are forecast at a time, between two looks at the clock."""

ALONE = 1.05
"""A change of one thing alone is preferred if it is at most this much farther."""


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What the forecast shall become."""

    output: Output
    threshold: float
    above: bool
    """Whether it shall lie above the threshold, else below."""

    def margin(self, log_volatility: Array, direction: Array) -> Array:
        """Give by how much outputs [n] are on the wished side; at least `MARGIN` is a flip."""
        if self.output == "volatility":
            beyond: Array = log_volatility - np.log(self.threshold)
        else:
            beyond = direction - self.threshold
        return beyond if self.above else -beyond

    def met(self, forecast: artifact.Forecast) -> bool:
        """Tell whether a forecast of one row is on the wished side."""
        value = float(getattr(forecast, self.output)[0])
        return value > self.threshold if self.above else value < self.threshold

    def __str__(self) -> str:
        return f"{self.output} {'above' if self.above else 'below'} {self.threshold:.6g}"


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    choices: Array
    """[3]"""
    distance: float


class _OutOfTimeError(Exception):
    """The search took longer than it may."""


def wishes(
    forecast: artifact.Forecast, output: Output, target_volatility: float | None
) -> tuple[Wish, ...]:
    """Give what flips a forecast of one row: the other side of a border, or of both by default."""
    volatility, direction = float(forecast.volatility[0]), float(forecast.direction[0])
    if output == "direction":
        return (Wish("direction", EVEN, above=direction <= EVEN),)
    if target_volatility is not None:
        return (Wish("volatility", target_volatility, above=volatility <= target_volatility),)
    return (
        Wish("volatility", volatility * (1 + SHARE), above=True),
        Wish("volatility", volatility * (1 - SHARE), above=False),
    )


def explain(  # noqa: PLR0913  # each is a different thing
    forecaster: artifact.Forecaster,
    source: bundle.Bundle,
    features: Array,
    history: Array,
    *,
    output: Output,
    target_volatility: float | None,
    seed: int,
    seconds: float,
) -> dict[str, Any]:
    """Search what flips the forecast of one row: `features` [1, F], `history` [1, T, C]."""
    before = forecaster.forecast(features, history)
    day = scenario.Day.of(features, history, source)
    deadline = time.monotonic() + seconds
    changes = day.definitions.changes
    return {
        "method": "counterfactual",
        "target": output,
        "seed": seed,
        "counterfactuals": [
            _answer(forecaster, source, day, wish, before, seed, deadline)
            for wish in wishes(before, output, target_volatility)
        ],
        "may_change": {name: change.model_dump() for name, change in changes.items()},
    }


def _answer(  # noqa: PLR0913  # each is a different thing
    forecaster: artifact.Forecaster,
    source: bundle.Bundle,
    day: scenario.Day,
    wish: Wish,
    before: artifact.Forecast,
    seed: int,
    deadline: float,
) -> dict[str, Any]:
    answer: dict[str, Any] = {"wish": str(wish), "found": False}
    if day.missing:
        return answer | {
            "reason": f"the model does not see {', '.join(day.missing)}, which another today "
            "would be computed from"
        }
    search = _Search(forecaster.estimator, day, wish, deadline)
    found = search.run(seed)
    answer |= {"candidates": search.candidates, "out_of_time": search.out_of_time}
    if found is None and search.out_of_time:
        return answer | {"reason": "none was found before the search ran out of time"}
    if found is None:
        return answer | {
            "reason": "no today within what training observed flips the forecast: "
            "the past, which cannot change, decides it"
        }
    changed, past = day.rows(found.choices[None])
    after = forecaster.forecast(changed, past)
    if not wish.met(after):
        return answer | {"reason": "the deployed artifact does not flip where the search did"}
    return answer | {
        "found": True,
        "distance": found.distance,
        "before": _outputs(before),
        "after": _outputs(after),
        "chosen": _chosen(day, found.choices),
        "changes": _changes(source, day, changed[0]),
        # As a request would have them: anybody can ask the deployed model again.
        "features": changed[0].tolist(),
        "history_last_day": past[0, -1].tolist(),
    }


def _outputs(forecast: artifact.Forecast) -> dict[str, float]:
    return {
        "volatility": float(forecast.volatility[0]),
        "direction": float(forecast.direction[0]),
    }


def _chosen(day: scenario.Day, choices: Array) -> list[dict[str, Any]]:
    return [
        {"what": name, "from": before, "to": after, "unit": unit}
        for name, unit, before, after in zip(
            scenario.VARIABLES, scenario.UNITS, day.actual.tolist(), choices.tolist(), strict=True
        )
        if before != after
    ]


def _changes(source: bundle.Bundle, day: scenario.Day, changed: Array) -> list[dict[str, Any]]:
    return [
        {
            "feature": feature.name,
            "from": before,
            "to": after,
            "unit": feature.unit,
            "rule": day.definitions.changes[feature.name].rule,
            "reason": day.definitions.changes[feature.name].reason,
        }
        for feature, before, after in zip(
            source.features, day.features.tolist(), changed.tolist(), strict=True
        )
        if before != after
    ]


class _Search:
    """Looks for the nearest choices that flip one wish."""

    def __init__(
        self,
        estimator: artifact.Estimator,
        day: scenario.Day,
        wish: Wish,
        deadline: float,
    ) -> None:
        self.candidates = 0
        self.out_of_time = False
        self._estimator, self._day, self._wish = estimator, day, wish
        self._deadline = deadline
        self._actual, self._scale = day.actual, day.scale

    def run(self, seed: int) -> _Found | None:
        """Give the nearest choices that were found until time was out; None if there are none."""
        best: _Found | None = None
        try:
            for found in self._ever_nearer(np.random.default_rng(seed)):
                best = found
        except _OutOfTimeError:
            self.out_of_time = True
        return best

    def _ever_nearer(self, random: np.random.Generator) -> Iterator[_Found]:
        radii = np.geomspace(NEAREST, FARTHEST, RADII)
        alone = self._nearest(np.concatenate([np.eye(3), -np.eye(3)]), radii)
        if alone is not None:
            yield alone
        best = _nearer(alone, self._nearest(_unit(random.standard_normal((RAYS, 3))), radii))
        if best is None:
            return
        yield best
        for each in range(ROUNDS):
            ray = _unit((best.choices - self._actual)[None] / self._scale)
            around = _unit(ray + 0.5 * 0.5**each * random.standard_normal((AROUND, 3)))
            closer = np.linspace(0.5, 1.0, RADII // 2) * best.distance
            best = _nearer(best, self._nearest(around, closer)) or best
            yield best
        if alone is not None and alone.distance <= ALONE * best.distance:
            yield alone

    def _nearest(self, rays: Array, radii: Array) -> _Found | None:
        """Look along `rays` [r, 3] at rising `radii` [k]; halve the way on those that flip first."""
        steps = rays[:, None] * radii[None, :, None]
        flips, _ = self._flips(steps.reshape(-1, 3))
        flips = flips.reshape(len(rays), len(radii))
        first = np.argmax(flips, axis=1)
        reached = np.flatnonzero(flips.any(axis=1))
        if len(reached) == 0:
            return None
        kept = reached[np.argsort(radii[first[reached]], kind="stable")][:KEPT]
        far = radii[first[kept]]
        near = np.where(first[kept] > 0, radii[np.maximum(first[kept] - 1, 0)], 0.0)
        for _ in range(HALVINGS):
            middle = (near + far) / 2
            flipped, _ = self._flips(rays[kept] * middle[:, None])
            near, far = np.where(flipped, near, middle), np.where(flipped, middle, far)
        _, choices = self._flips(rays[kept] * far[:, None])
        distances = np.linalg.norm((choices - self._actual) / self._scale, axis=1)
        at = int(np.argmin(distances))
        return _Found(choices[at], float(distances[at]))

    def _flips(self, steps: Array) -> tuple[permutations.Mask, Array]:
        """Say which steps [n, 3], in units of distance, flip; give them as possible choices, too."""
        choices = self._day.possible(self._actual + steps * self._scale)
        flips = np.zeros(len(choices), dtype=bool)
        for start in range(0, len(choices), CHUNK):
            if time.monotonic() > self._deadline:
                raise _OutOfTimeError
            part = slice(start, start + CHUNK)
            features, history = self._day.rows(choices[part])
            margin = self._wish.margin(*self._estimator.estimate(features, history))
            flips[part] = (margin >= MARGIN) & self._day.observed(features)
        self.candidates += len(choices)
        return flips, choices


def _unit(rays: Array) -> Array:
    lengths: Array = np.linalg.norm(rays, axis=1)[:, None]
    return rays / lengths


def _nearer(one: _Found | None, other: _Found | None) -> _Found | None:
    found = [each for each in (one, other) if each is not None]
    return min(found, key=lambda each: each.distance, default=None)
