"""The guard says whether a forecast may be made of a request's data, and how unusual that is.

Set `implementation` to `runtimes.guard.runtime.Guard` and `parameters.uri` to the folder that
`models.steps.guard` built; `Settings` lists what `parameters.extra` may say.
"""

import json
import pathlib
import time
from collections.abc import Mapping

import numpy as np
import pydantic

from runtimes import contract
from runtimes.contract import addresses, step

from . import artifact, following, metrics

BORDER = 0.5
"""Of the anomaly score: the artifact puts it there."""

_NAMED = 5
"""How many features a reason names."""


class Settings(step.Settings):
    """What `parameters.extra` may say."""

    valkey: addresses.Address = pydantic.Field(
        description="host:port of Valkey, where the drift watcher writes its scores."
    )
    quality_threshold: float = pydantic.Field(
        default=0.8, ge=0.0, le=1.0, description="Below this quality the fallback answers."
    )
    drift_threshold: float = pydantic.Field(
        default=0.5, ge=0.0, le=1.0, description="Above this score the reason speaks of drift."
    )
    drift_age_seconds: float = pydantic.Field(
        default=60.0, gt=0.0, description="A drift score that is older counts as unknown."
    )


class Guard(step.Step):
    """Scores a request, and emits exactly one of `accepted` and `fallback`.

    Quality below the threshold and values that are missing lead to the fallback.
    An anomaly or drift does not: it is reported, and what follows from it is decided later.
    """

    SETTINGS = Settings
    GIVES = (
        step.Tensor(
            contract.ANOMALY_SCORE, "FP64", (1,), "0..1, 0.5 is the border of what is usual"
        ),
        step.Tensor(
            contract.DRIFT_SCORE,
            "FP64",
            (1,),
            "0..1, features whose recent days drifted, 0.5 is the border; 0 if unknown",
        ),
        step.Tensor(contract.ACCEPTED, "BYTES", (1,), "why a forecast is made", required=False),
        step.Tensor(contract.FALLBACK, "BYTES", (1,), "why none is made", required=False),
    )

    given: Settings
    _drift: following.Follower | None = None

    def open(self, folder: pathlib.Path) -> None:
        """Read the artifact, and score a row for practice."""
        self._usual = artifact.read(folder)
        # A row of zeros: the arrays are paged in before the first request.
        self._usual.anomaly("", np.zeros(len(self._usual.features)))

    def signature(self) -> tuple[step.Tensor, ...]:
        """Give what the enrichment gives, with the artifact's number of features.

        Features and history may be missing: that is what the fallback is for.
        """
        width = len(self._usual.features)
        return (
            step.Tensor(contract.SYMBOL, "BYTES", (1,), "what is forecast"),
            step.Tensor(contract.DATE, "BYTES", (1,), "trading day, ISO 8601", required=False),
            step.Tensor(
                contract.FEATURES,
                "FP64",
                (1, width),
                ",".join(self._usual.features),
                required=False,
                finite=False,
            ),
            step.Tensor(
                contract.HISTORY,
                "FP64",
                (1, -1, -1),
                "days before, oldest first",
                required=False,
                finite=False,
            ),
            step.Tensor(contract.QUALITY_SCORE, "FP64", (1,), "0..1"),
            step.Tensor(contract.QUALITY, "BYTES", (1,), "JSON: what is wrong with which feature"),
        )

    async def load(self) -> bool:
        """Read settings and artifact, then begin to follow the drift scores."""
        await super().load()
        self._anomalies = metrics.ANOMALY.labels(self.label)
        self._accepted = metrics.BRANCHES.labels(self.label, contract.ACCEPTED, "ok")
        self._refused = {
            reason: metrics.BRANCHES.labels(self.label, contract.FALLBACK, reason)
            for reason in ("quality", "incomplete")
        }
        self._unknown = {
            reason: metrics.DRIFT_UNKNOWN.labels(self.label, reason) for reason in ("none", "old")
        }
        self._drift = following.Follower(self.given.valkey, self.label)
        self._drift.start()
        return True

    async def unload(self) -> bool:
        """Follow the drift scores no longer."""
        if self._drift is not None:  # MLServer also unloads what could not be loaded
            await self._drift.stop()
        return True

    async def run(
        self, inputs: Mapping[str, step.Value], asked: step.Asked
    ) -> Mapping[str, step.Value]:
        """Answer one request: see the class."""
        del asked
        symbol = _text(inputs[contract.SYMBOL])
        row = _array(inputs.get(contract.FEATURES))
        anomaly = 1.0 if row is None else self._usual.anomaly(symbol, row[0])
        self._anomalies.observe(anomaly)
        drift, drift_said = self._drift_of(symbol)
        answer: dict[str, step.Value] = {
            contract.ANOMALY_SCORE: np.array([anomaly]),
            contract.DRIFT_SCORE: np.array([drift]),
        }
        quality = _array(inputs[contract.QUALITY_SCORE])
        assert quality is not None  # noqa: S101  required: `step.read` has seen it
        refused = self._refusal(
            float(quality[0]),
            _text(inputs[contract.QUALITY]),
            row,
            _array(inputs.get(contract.HISTORY)),
        )
        if refused is not None:
            answer[contract.FALLBACK] = [refused]
            return answer
        self._accepted.inc()
        above = f", above {BORDER}: unusual for {symbol}" if anomaly > BORDER else ""
        answer[contract.ACCEPTED] = [
            f"quality {quality[0]:.2f}; anomaly {anomaly:.2f}{above}; {drift_said}"
        ]
        return answer

    def _refusal(
        self, score: float, quality: str, row: step.Array | None, history: step.Array | None
    ) -> str | None:
        """Say why no forecast can be made, or None."""
        if score < self.given.quality_threshold:
            self._refused["quality"].inc()
            return f"quality {score:.2f} is below {self.given.quality_threshold:.2f}: " + _said(
                quality
            )
        if row is None or history is None:
            self._refused["incomplete"].inc()
            missing = contract.FEATURES if row is None else contract.HISTORY
            return f"there are no {missing}, and no forecast without them"
        wrong = [
            name
            for name, known in zip(self._usual.features, np.isfinite(row[0]).tolist(), strict=True)
            if not known
        ]
        if wrong:
            self._refused["incomplete"].inc()
            return f"no value for {_listed(wrong)}, and no forecast without it"
        if not np.isfinite(history).all():
            self._refused["incomplete"].inc()
            return "the history has days without a value, and no forecast can be made of it"
        return None

    def _drift_of(self, symbol: str) -> tuple[float, str]:
        """Give a symbol's score and what to say of it; 0 where it is not known."""
        found = self._drift.latest.get(symbol) if self._drift is not None else None
        if found is None:
            self._unknown["none"].inc()
            return 0.0, "drift not known: no full window of days yet"
        age = time.time() - found.time
        if age > self.given.drift_age_seconds:
            self._unknown["old"].inc()
            return 0.0, f"drift not known: the last score is {age:.0f} s old"
        said = f"drift {found.score:.2f}"
        if found.score > self.given.drift_threshold:
            said += f", above {self.given.drift_threshold}: {_listed(found.drifted)}"
        return found.score, said


def _array(value: step.Value | None) -> step.Array | None:
    if isinstance(value, list):
        raise TypeError("a text where the signature has numbers")
    return value


def _text(value: step.Value) -> str:
    if not isinstance(value, list):
        raise TypeError("numbers where the signature has a text")
    return value[0]


def _said(quality: str) -> str:
    """Say in words what the enrichment's JSON says: its reason, else each fault with its features."""
    try:
        document = json.loads(quality)
    except ValueError:
        return quality
    if not isinstance(document, dict):
        return quality
    if document.get("reason"):
        return str(document["reason"])
    said = [
        f"{fault.replace('_', ' ')} {_listed(list(names))}"
        for fault, names in document.items()
        if isinstance(names, list | dict) and names
    ]
    return "; ".join(said) or quality


def _listed(names: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(str, names[:_NAMED])) + more
