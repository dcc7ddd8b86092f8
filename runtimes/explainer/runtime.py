"""Explains every forecast on its way through the pipeline; never stands in a forecast's way.

Set `implementation` to `runtimes.explainer.runtime.Explainer` and `parameters.uri` to a bundle;
`Settings` lists what `parameters.extra` may say.
"""

import asyncio
import collections
import logging
import pathlib
import time
import typing
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import orjson
import pydantic

from runtimes import contract
from runtimes.contract import step
from runtimes.predictor import artifact

from . import attribution, bundle, explanation, metrics, permutations

logger = logging.getLogger("mlserver.bellwether.explainer")

TOLERANCE = 1e-6
"""How far the recomputed volatility may be from the forecast's, relatively."""

NONE = "none"
"""The method's label where nothing was explained."""

_Key = tuple[explanation.Identity, bytes, bytes, float]


class Settings(step.Settings):
    """What `parameters.extra` may say."""

    cache_entries: int = pydantic.Field(
        default=512,
        ge=0,
        description="How many explanations are kept for requests that come again.",
    )
    orders: int = pydantic.Field(
        default=2, ge=2, le=64, description="Orders in which a network's features join."
    )
    references: int = pydantic.Field(
        default=8, ge=1, description="Days of the background that a network is compared with."
    )
    fallback: str = pydantic.Field(
        default="fallback-predictor",
        description="The model that answers when data cannot be trusted: it has no features.",
    )


class Refusal(Exception):  # noqa: N818  # it is an answer, not a failure
    """There is no explanation; `reason` is the bounded label that is counted."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Explainer(step.Step):
    """`features`, `history`, and a forecast's `model` and `volatility` in; `explanation` out."""

    SETTINGS: ClassVar[type[step.Settings]] = Settings
    GIVES = (
        step.Tensor(
            contract.EXPLANATION,
            "BYTES",
            (1,),
            'JSON: five largest attributions, or {"missing": reason}',
        ),
    )
    given: Settings

    def open(self, folder: pathlib.Path) -> None:
        """Read the bundle, and explain its first day with every predictor once."""
        self._bundle = bundle.load(folder)
        self._groups = explanation.groups(self._bundle)
        sampling = permutations.Sampling(
            orders=self.given.orders,
            references=self.given.references,
            seed=self._bundle.seed,
        )
        self._attributors = {
            name: attribution.of(each.forecaster.estimator, self._bundle.background, sampling)
            for name, each in self._bundle.predictors.items()
        }
        self._kept: collections.OrderedDict[_Key, str] = collections.OrderedDict()
        day = (self._bundle.background.features[:1], self._bundle.background.history[:1])
        for attributor in self._attributors.values():
            attributor.attribute(*day)

    def signature(self) -> tuple[step.Tensor, ...]:
        """Give what is taken: sizes are the bundle's."""
        days, channels = self._bundle.days, len(self._bundle.channels)
        width = len(self._bundle.features)
        return (
            # Not finite: where data is missing the fallback forecasts, and there is no explanation.
            step.Tensor(
                contract.FEATURES, "FP64", (1, width), "of the forecast's day", finite=False
            ),
            step.Tensor(
                contract.HISTORY,
                "FP64",
                (1, days, channels),
                "until the forecast's day",
                finite=False,
            ),
            step.Tensor(contract.MODEL, "BYTES", (1, 3), "the forecast's: name, version, artifact"),
            step.Tensor(contract.VOLATILITY, "FP64", (1,), "the forecast's", finite=False),
        )

    async def run(
        self, inputs: Mapping[str, step.Value], asked: step.Asked
    ) -> Mapping[str, step.Value]:
        """Explain the forecast, or say why it cannot be explained."""
        del asked
        # Their kinds are what the signature says.
        features = typing.cast("step.Array", inputs[contract.FEATURES])
        history = typing.cast("step.Array", inputs[contract.HISTORY])
        volatility = typing.cast("step.Array", inputs[contract.VOLATILITY])
        identity = explanation.Identity(*typing.cast("list[str]", inputs[contract.MODEL]))
        text = await self._explain(identity, features, history, float(volatility[0]))
        return {contract.EXPLANATION: [text]}

    async def _explain(
        self,
        identity: explanation.Identity,
        features: step.Array,
        history: step.Array,
        volatility: float,
    ) -> str:
        try:
            predictor = self._find(identity)
            refuse_not_finite(features, history)
            key = (identity, features.tobytes(), history.tobytes(), volatility)
            if (kept := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                self._count(self._attributors[predictor.name].method, "cached")
                return kept
            began = time.perf_counter()
            attributor = self._attributors[predictor.name]
            if attributor.quick:
                parts = attributor.attribute(features, history)
            else:
                parts = await asyncio.to_thread(attributor.attribute, features, history)
            check(parts, volatility)
            document = explanation.additive(
                parts,
                method=attributor.method,
                source=self._bundle,
                named=self._groups,
                features=features,
                history=history,
            )
        except Refusal as refusal:
            self._count(NONE, refusal.reason)
            return explanation.missing(refusal.reason, str(refusal), identity)
        except Exception as error:
            # Whatever fails here, the forecast is good: it goes on, without an explanation.
            logger.exception("%s failed to explain %s", self.name, identity)
            self._count(NONE, "failed")
            text = f"the explainer failed: {type(error).__name__}: {error}; see MLServer's log"
            return explanation.missing("failed", text, identity)
        seconds = time.perf_counter() - began
        metrics.SECONDS.labels(self.label, attributor.method).observe(seconds)
        self._count(attributor.method, "made")
        document["model"] = identity.document()
        document["milliseconds"] = round(seconds * 1000, 3)
        self._keep(key, orjson.dumps(document | {"cached": True}).decode())
        return orjson.dumps(document | {"cached": False}).decode()

    def _find(self, identity: explanation.Identity) -> bundle.Predictor:
        """Give the very artifact that made the forecast; raise `Refusal` if it is not here."""
        predictor = self._bundle.by_artifact.get(identity.artifact)
        if predictor is not None:
            return predictor
        if identity.name == self.given.fallback:
            raise Refusal(
                "fallback",
                f"{identity.name} answered: it gives what is usual for the symbol, and uses no feature",
            )
        known = self._bundle.predictors.get(identity.name)
        if known is None:
            raise Refusal(
                "unknown_model",
                f"the explainer has no artifact of {identity.name!r}; it has those of "
                f"{', '.join(self._bundle.predictors)}: train again",
            )
        raise Refusal(
            "other_artifact",
            f"the forecast is of artifact {identity.artifact or 'unknown'} of {identity.name}, the "
            f"explainer has {known.address}: an explanation would be another model's; "
            "build the explainer's artifact with the models that are served",
        )

    def _keep(self, key: _Key, text: str) -> None:
        if self.given.cache_entries:
            self._kept[key] = text
            if len(self._kept) > self.given.cache_entries:
                self._kept.popitem(last=False)

    def _count(self, method: str, outcome: str) -> None:
        metrics.EXPLANATIONS.labels(self.label, method, outcome).inc()


def refuse_not_finite(features: step.Array, history: step.Array) -> None:
    """Raise `Refusal` for data that nothing could have been forecast from."""
    if not (np.isfinite(features).all() and np.isfinite(history).all()):
        raise Refusal("not_finite", "features or history are not finite: data was missing")


def check(parts: attribution.Attribution, volatility: float) -> None:
    """Raise `Refusal` if what is explained is not the forecast."""
    least, most = artifact.VOLATILITY_BOUNDS
    made = float(np.clip(np.exp(parts.output), least, most))
    if not abs(made - volatility) <= TOLERANCE * made:
        raise Refusal(
            "mismatch",
            f"the artifact gives a volatility of {made:.9g} for these features, the forecast says "
            f"{volatility:.9g}: the forecast is of other features, or of another model",
        )
    if not parts.completeness_error <= TOLERANCE:
        raise Refusal(
            "incomplete",
            f"the contributions do not add up to the output: off by {parts.completeness_error:.2g}",
        )
