"""Explains a forecast by the method that is asked for; never on the path of a request.

Set `implementation` to `runtimes.explainer.on_demand.Explanations` and `parameters.uri` to a
bundle with definitions; `Settings` lists what `parameters.extra` may say.
One explanation is made at a time, in a thread of its own: some take a second, and the libraries
draw from numpy's shared generator.
"""

import asyncio
import concurrent.futures
import dataclasses
import difflib
import importlib
import json
import math
import pathlib
import time
import typing
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pydantic

from runtimes import contract
from runtimes.contract import step
from runtimes.predictor import artifact

from . import (
    attribution,
    bundle,
    counterfactual,
    explanation,
    gradients,
    metrics,
    permutations,
    scenario,
)

METHOD = "method"
TARGET_VOLATILITY = "target_volatility"
TARGET = "target"
SEED = "seed"

LARGEST_SEED = 2**32 - 1


class Settings(step.Settings):
    """What `parameters.extra` may say."""

    model: str = pydantic.Field(
        default="baseline-predictor", description="The predictor that is explained by default."
    )
    orders: int = pydantic.Field(
        default=10, ge=2, le=1000, description="Orders in which a network's features join."
    )
    references: int = pydantic.Field(
        default=16, ge=1, description="Days of the background that a network is compared with."
    )
    samples: int = pydantic.Field(
        default=2000, ge=100, le=100_000, description="Rows that LIME draws around the day."
    )
    repeats: int = pydantic.Field(
        default=10, ge=2, le=1000, description="Shuffles of each feature for its importance."
    )
    seconds: float = pydantic.Field(
        default=5.0, gt=0, le=60, description="How long a counterfactual is searched for, at most."
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    predictor: bundle.Predictor
    features: step.Array
    """[1, F]"""
    history: step.Array
    """[1, T, C]"""
    seed: int
    output: counterfactual.Output
    target_volatility: float | None


class Explanations(step.Step):
    """A day's `features` and `history`, a `model` and a `method` in; `explanation` out."""

    SETTINGS: ClassVar[type[step.Settings]] = Settings
    GIVES = (step.Tensor(contract.EXPLANATION, "BYTES", (1,), "JSON, by the method"),)
    given: Settings

    def open(self, folder: pathlib.Path) -> None:
        """Read the bundle, and see that it says all that the methods need."""
        self._bundle = bundle.load(folder)
        self._groups = explanation.groups(self._bundle)
        self._evaluation = self._bundle.evaluation()
        scenario.check(self._bundle)
        self._names = _names(self._bundle)
        if self.given.model not in self._names:
            raise bundle.BundleError(
                f"parameter model is {self.given.model!r}, {_known(self._bundle)}"
            )
        self._methods: Mapping[str, Callable[[Question], dict[str, Any]]] = {
            "shap": self._shap,
            "permutations": self._permutations,
            "integrated_gradients": self._integrated_gradients,
            "lime": self._lime,
            "importances": self._importances,
            "counterfactual": self._counterfactual,
        }
        self._worker = concurrent.futures.ThreadPoolExecutor(1, f"{self.label}-worker")
        # The libraries take a second to import; whoever asks meanwhile waits for the worker.
        for name in ("importances", "lime_weights", "shap_values"):
            self._worker.submit(importlib.import_module, f".{name}", __package__)

    async def unload(self) -> bool:
        """Let the worker go once it has finished."""
        self._worker.shutdown(wait=False)
        return True

    def signature(self) -> tuple[step.Tensor, ...]:
        """Give what is taken: sizes are the bundle's."""
        days, channels = self._bundle.days, len(self._bundle.channels)
        width = len(self._bundle.features)
        methods = ", ".join(self._methods)
        return (
            step.Tensor(contract.FEATURES, "FP64", (1, width), "of the day"),
            step.Tensor(contract.HISTORY, "FP64", (1, days, channels), "until the day"),
            step.Tensor(
                contract.MODEL,
                "BYTES",
                (1,),
                f"a predictor's name, or its artifact's; {self.given.model} by default",
                required=False,
            ),
            step.Tensor(
                METHOD, "BYTES", (1,), f"one of {methods}; shap by default", required=False
            ),
            step.Tensor(
                TARGET,
                "BYTES",
                (1,),
                "what a counterfactual flips: volatility (by default) or direction",
                required=False,
            ),
            step.Tensor(
                TARGET_VOLATILITY,
                "FP64",
                (1,),
                "the border that a counterfactual crosses; by default 20 % up, and 20 % down",
                required=False,
            ),
            step.Tensor(
                SEED,
                "FP64",
                (1,),
                "of what is random, a whole number; 0 by default",
                required=False,
            ),
        )

    async def run(
        self, inputs: Mapping[str, step.Value], asked: step.Asked
    ) -> Mapping[str, step.Value]:
        """Explain; raise `InvalidRequest` for what is unknown or does not fit together."""
        del asked
        method = _text(inputs, METHOD, "shap")
        question = self._question(inputs, method)
        began = time.perf_counter()
        try:
            document = await asyncio.get_running_loop().run_in_executor(
                self._worker, self._methods[method], question
            )
        except gradients.NoGradientError as error:
            self._count(method, "refused")
            raise step.InvalidRequest(f"{question.predictor.name}: {error}") from error
        seconds = time.perf_counter() - began
        metrics.SECONDS.labels(self.label, method).observe(seconds)
        self._count(method, "made")
        forecast = question.predictor.forecaster.forecast(question.features, question.history)
        document |= {
            "model": {"name": question.predictor.name, "artifact": question.predictor.address},
            "forecast": {
                contract.VOLATILITY: float(forecast.volatility[0]),
                contract.DIRECTION: float(forecast.direction[0]),
                contract.INTERVAL: forecast.interval[0].tolist(),
            },
            "seed": question.seed,
            "milliseconds": round(seconds * 1000, 3),
        }
        return {contract.EXPLANATION: [json.dumps(document)]}

    def _question(self, inputs: Mapping[str, step.Value], method: str) -> Question:
        if method not in self._methods:
            raise step.InvalidRequest(
                f"tensor {METHOD!r}: {method!r} is unknown{_meant(method, self._methods)}; "
                f"known are {', '.join(self._methods)}"
            )
        wanted = _text(inputs, contract.MODEL, self.given.model)
        predictor = self._names.get(wanted)
        if predictor is None:
            raise step.InvalidRequest(
                f"tensor {contract.MODEL!r}: no artifact of {wanted!r} is here"
                f"{_meant(wanted, self._bundle.predictors)}, {_known(self._bundle)}"
            )
        for name in (TARGET, TARGET_VOLATILITY):
            if name in inputs and method != "counterfactual":
                raise step.InvalidRequest(
                    f"tensor {name!r} says what a counterfactual flips; leave it out with {method}"
                )
        output = _text(inputs, TARGET, contract.VOLATILITY)
        outputs = typing.get_args(counterfactual.Output)
        if output not in outputs:
            raise step.InvalidRequest(
                f"tensor {TARGET!r}: {output!r} is unknown; known are {', '.join(outputs)}"
            )
        target = _number(inputs, TARGET_VOLATILITY)
        least, most = artifact.VOLATILITY_BOUNDS
        if target is not None and output != contract.VOLATILITY:
            raise step.InvalidRequest(
                f"tensor {TARGET_VOLATILITY!r} is a border of volatility; leave it out where "
                f"{TARGET!r} is {output!r}"
            )
        if target is not None and not least < target < most:
            raise step.InvalidRequest(
                f"tensor {TARGET_VOLATILITY!r}: expected an annualised volatility between {least} "
                f"and {most}, got {target}"
            )
        seed = _number(inputs, SEED) or 0.0
        if seed != math.floor(seed) or not 0 <= seed <= LARGEST_SEED:
            raise step.InvalidRequest(
                f"tensor {SEED!r}: expected a whole number from 0 to {LARGEST_SEED}, got {seed}"
            )
        return Question(
            predictor=predictor,
            features=typing.cast("step.Array", inputs[contract.FEATURES]),
            history=typing.cast("step.Array", inputs[contract.HISTORY]),
            seed=int(seed),
            output=typing.cast("counterfactual.Output", output),
            target_volatility=target,
        )

    def _additive(
        self, question: Question, parts: attribution.Attribution, method: str
    ) -> dict[str, Any]:
        return explanation.additive(
            parts,
            method=method,
            source=self._bundle,
            named=self._groups,
            features=question.features,
            history=question.history,
            top=len(self._groups),
        )

    def _sampling(self, question: Question) -> permutations.Sampling:
        return permutations.Sampling(
            orders=self.given.orders, references=self.given.references, seed=question.seed
        )

    def _shap(self, question: Question) -> dict[str, Any]:
        from . import shap_values  # noqa: PLC0415  # the worker imports it after the start

        estimator = question.predictor.forecaster.estimator
        row = shap_values.Row(
            features=question.features,
            history=question.history,
            background=self._bundle.background,
            sampling=self._sampling(question),
        )
        parts = shap_values.attribute(estimator, row)
        return self._additive(question, parts, shap_values.method(estimator))

    def _permutations(self, question: Question) -> dict[str, Any]:
        estimator = question.predictor.forecaster.estimator
        game = permutations.Game.over(estimator, self._bundle.background, self._sampling(question))
        explainer = attribution.Network(game)
        parts = explainer.attribute(question.features, question.history)
        return self._additive(question, parts, explainer.method)

    def _integrated_gradients(self, question: Question) -> dict[str, Any]:
        parts = gradients.attribute(
            question.predictor.forecaster.estimator,
            self._bundle.background,
            question.features,
            question.history,
        )
        return self._additive(question, parts, "integrated gradients over groups")

    def _lime(self, question: Question) -> dict[str, Any]:
        from . import lime_weights  # noqa: PLC0415  # as above

        return lime_weights.explain(
            question.predictor.forecaster.estimator,
            self._bundle,
            question.features,
            question.history,
            samples=self.given.samples,
            seed=question.seed,
        )

    def _importances(self, question: Question) -> dict[str, Any]:
        from . import importances  # noqa: PLC0415  # as above

        return importances.explain(
            question.predictor.forecaster.estimator,
            self._bundle,
            self._evaluation,
            repeats=self.given.repeats,
            seed=question.seed,
        )

    def _counterfactual(self, question: Question) -> dict[str, Any]:
        return counterfactual.explain(
            question.predictor.forecaster,
            self._bundle,
            question.features,
            question.history,
            output=question.output,
            target_volatility=question.target_volatility,
            seed=question.seed,
            seconds=self.given.seconds,
        )

    def _count(self, method: str, outcome: str) -> None:
        metrics.EXPLANATIONS.labels(self.label, method, outcome).inc()


def _names(source: bundle.Bundle) -> dict[str, bundle.Predictor]:
    """Give every name that a predictor may be asked for by."""
    names = dict(source.by_artifact)
    for each in source.predictors.values():
        names[each.forecaster.metadata.model] = each
        names[each.name] = each
    return names


def _known(source: bundle.Bundle) -> str:
    return f"known are {', '.join(source.predictors)}, and their artifacts"


def _meant(name: str, known: typing.Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _text(inputs: Mapping[str, step.Value], name: str, otherwise: str) -> str:
    return typing.cast("list[str]", inputs[name])[0] if name in inputs else otherwise


def _number(inputs: Mapping[str, step.Value], name: str) -> float | None:
    return float(typing.cast("step.Array", inputs[name])[0]) if name in inputs else None
