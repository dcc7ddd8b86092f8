"""Makes a decision of a forecast that a risk officer can read, as an MLServer model.

Set `implementation` to `runtimes.decision.runtime.Decision` and `parameters.uri` to the folder of
a calibration; see `settings.Settings` for what `parameters.extra` may say.
"""

import json
import logging
import pathlib
from collections.abc import Mapping
from typing import cast

import numpy as np
from mlserver.utils import generate_uuid

from runtimes import contract
from runtimes.contract import step

from . import calibration, explanation, metrics, rules, settings

logger = logging.getLogger("mlserver.bellwether.decision")

FALLBACK_REGIME = "fallback"
"""What stands for the regime where the router was not asked."""

NEEDED = {
    contract.SYMBOL: "enrichment",
    contract.DATE: "enrichment",
    contract.QUALITY_SCORE: "enrichment",
    contract.QUALITY: "enrichment",
    contract.ANOMALY_SCORE: "guard",
    contract.DRIFT_SCORE: "guard",
    contract.VOLATILITY: "forecast",
    contract.DIRECTION: "forecast",
    contract.INTERVAL: "forecast",
    contract.MODEL: "forecast",
}
"""What a decision cannot do without, and the step that it comes from."""

SHARES = (
    contract.QUALITY_SCORE,
    contract.ANOMALY_SCORE,
    contract.DRIFT_SCORE,
    contract.DIRECTION,
)
"""What has to lie between 0 and 1."""

_SYMBOL = step.Tensor(contract.SYMBOL, "BYTES", (1,), "what is forecast", required=False)
_DATE = step.Tensor(contract.DATE, "BYTES", (1,), "day of the newest bar", required=False)
_QUALITY_SCORE = step.Tensor(
    contract.QUALITY_SCORE,
    "FP64",
    (1,),
    "0..1, share of the data that is there, fresh and sane",
    required=False,
)
_QUALITY = step.Tensor(
    contract.QUALITY, "BYTES", (1,), "JSON: what the quality score counted", required=False
)
_ANOMALY_SCORE = step.Tensor(
    contract.ANOMALY_SCORE, "FP64", (1,), "0..1, 0.5 is the border of what is usual", required=False
)
_DRIFT_SCORE = step.Tensor(
    contract.DRIFT_SCORE, "FP64", (1,), "0..1, share of features that drifted", required=False
)
_DIRECTION = step.Tensor(
    contract.DIRECTION, "FP64", (1,), "probability that tomorrow closes above today", required=False
)
_INTERVAL = step.Tensor(
    contract.INTERVAL, "FP64", (1, 2), "lower and upper end for volatility", required=False
)
_MODEL = step.Tensor(
    contract.MODEL, "BYTES", (1, 3), "name, version and artifact of who forecast", required=False
)


class Decision(step.Step):
    """Takes what the steps before it answered, of which some may be absent; decides.

    Every input is declared optional, because an outer join hands over whatever came;
    what is in `NEEDED`, and one of `regime` and `fallback`, is insisted on here.
    """

    SETTINGS = settings.Settings
    TAKES = (
        _SYMBOL,
        _DATE,
        _QUALITY_SCORE,
        _QUALITY,
        _ANOMALY_SCORE,
        _DRIFT_SCORE,
        step.Tensor(
            contract.FALLBACK, "BYTES", (1,), "why the fallback had to answer", required=False
        ),
        step.Tensor(contract.REGIME, "BYTES", (1,), "the market's regime", required=False),
        step.Tensor(
            contract.VOLATILITY,
            "FP64",
            (1,),
            "annualised standard deviation over the next five trading days",
            required=False,
        ),
        _DIRECTION,
        _INTERVAL,
        _MODEL,
        step.Tensor(
            contract.EXPLANATION, "BYTES", (1,), "JSON; names the model it is of", required=False
        ),
    )
    GIVES = (
        step.Tensor(contract.PREDICTION_ID, "BYTES", (1,), "the request's id"),
        _SYMBOL,
        _DATE,
        step.Tensor(
            contract.PREDICTION,
            "FP64",
            (1,),
            "annualised standard deviation over the next five trading days",
        ),
        _INTERVAL,
        _DIRECTION,
        step.Tensor(
            contract.CONFIDENCE, "FP64", (1,), "probability of coming out near the forecast"
        ),
        step.Tensor(contract.POSITION, "FP64", (1,), "share of wealth, long, after the rules"),
        step.Tensor(contract.RULES, "BYTES", (1,), "JSON: each rule that fired, in order"),
        step.Tensor(contract.EXPLANATION, "BYTES", (1,), "JSON, or why there is none"),
        _DRIFT_SCORE,
        _ANOMALY_SCORE,
        _QUALITY_SCORE,
        _QUALITY,
        step.Tensor(contract.REGIME, "BYTES", (1,), "the market's regime, or fallback"),
        _MODEL,
    )

    given: settings.Settings

    def open(self, folder: pathlib.Path) -> None:
        """Read the calibration; warn of a blocked symbol that it does not know."""
        self._known = calibration.load(folder)
        self._limits = self.given.limits()
        known = {symbol.upper() for symbol in self._known.symbols}
        for symbol in sorted(self._limits.blocked - known):
            logger.warning(
                "%s: blocked_symbols names %s, which is none of %s: it is blocked all the same, "
                "but check its spelling",
                self.label, symbol, ", ".join(self._known.symbols),
            )  # fmt: skip
        self._confidence = metrics.CONFIDENCE.labels(self.label)
        self._position = metrics.POSITION.labels(self.label)
        self._explanations = {
            outcome: metrics.EXPLANATIONS.labels(self.label, outcome)
            for outcome in explanation.OUTCOMES
        }

    async def run(
        self, inputs: Mapping[str, step.Value], asked: step.Asked
    ) -> Mapping[str, step.Value]:
        """See `step.Step.run`."""
        forecast = _forecast(inputs, self._known)
        decision = rules.decide(forecast, self._known, self._limits)
        about, explained = explanation.checked(
            _optional(inputs, contract.EXPLANATION), _texts(inputs, contract.MODEL)
        )
        self._explanations[about].inc()
        self._confidence.observe(decision.confidence)
        self._position.observe(decision.position)
        for fired in decision.fired:
            metrics.RULES.labels(self.label, fired.name).inc()
        return {
            contract.PREDICTION_ID: [asked.id or generate_uuid()],
            contract.SYMBOL: inputs[contract.SYMBOL],
            contract.DATE: inputs[contract.DATE],
            contract.PREDICTION: inputs[contract.VOLATILITY],
            contract.INTERVAL: inputs[contract.INTERVAL],
            contract.DIRECTION: inputs[contract.DIRECTION],
            contract.CONFIDENCE: np.array([decision.confidence]),
            contract.POSITION: np.array([decision.position]),
            contract.RULES: [json.dumps([fired.document() for fired in decision.fired])],
            contract.EXPLANATION: [explained],
            contract.DRIFT_SCORE: inputs[contract.DRIFT_SCORE],
            contract.ANOMALY_SCORE: inputs[contract.ANOMALY_SCORE],
            contract.QUALITY_SCORE: inputs[contract.QUALITY_SCORE],
            contract.QUALITY: inputs[contract.QUALITY],
            contract.REGIME: [forecast.regime],
            contract.MODEL: inputs[contract.MODEL],
        }


def _forecast(inputs: Mapping[str, step.Value], known: calibration.Calibration) -> rules.Forecast:
    """Read what there is to decide on; raise InvalidRequest where it makes no sense."""
    for name, source in NEEDED.items():
        if name not in inputs:
            raise step.InvalidRequest(
                f"tensor {name!r} is missing: the step {source!r} did not answer, or not in "
                "time, and there is no decision without it; look at that step's log"
            )
    for name in SHARES:
        if not 0 <= _number(inputs, name) <= 1:
            raise step.InvalidRequest(
                f"tensor {name!r} of the step {NEEDED[name]!r}: expected a number between 0 "
                f"and 1, got {_number(inputs, name)}"
            )
    volatility = _number(inputs, contract.VOLATILITY)
    lower, upper = np.asarray(inputs[contract.INTERVAL]).ravel().tolist()
    if not (volatility > 0 and 0 < lower <= upper):
        raise step.InvalidRequest(
            f"tensors {contract.VOLATILITY!r} and {contract.INTERVAL!r} of the step 'forecast': "
            f"expected a volatility above 0 and ends that ascend above 0, got {volatility} and "
            f"{lower} to {upper}"
        )
    model, _, artifact = _texts(inputs, contract.MODEL)
    fallback = _optional(inputs, contract.FALLBACK)
    return rules.Forecast(
        symbol=_texts(inputs, contract.SYMBOL)[0],
        volatility=volatility,
        lower=lower,
        upper=upper,
        model=model,
        artifact=artifact,
        regime=FALLBACK_REGIME if fallback is not None else _regime(inputs, known),
        quality_score=_number(inputs, contract.QUALITY_SCORE),
        anomaly_score=_number(inputs, contract.ANOMALY_SCORE),
        drift_score=_number(inputs, contract.DRIFT_SCORE),
        fallback=fallback,
    )


def _regime(inputs: Mapping[str, step.Value], known: calibration.Calibration) -> str:
    regime = _optional(inputs, contract.REGIME)
    if regime is None:
        raise step.InvalidRequest(
            f"tensors {contract.REGIME!r} and {contract.FALLBACK!r} are both missing: the step "
            "'router' did not answer, though no fallback was called for; look at its log"
        )
    if regime not in known.regimes:
        raise step.InvalidRequest(
            f"tensor {contract.REGIME!r} of the step 'router': {regime!r} is unknown; "
            f"known are {', '.join(known.regimes)}"
        )
    return regime


def _number(inputs: Mapping[str, step.Value], name: str) -> float:
    return float(inputs[name][0])


def _texts(inputs: Mapping[str, step.Value], name: str) -> list[str]:
    # The signature says BYTES, so the value is a list of texts.
    return cast("list[str]", inputs[name])


def _optional(inputs: Mapping[str, step.Value], name: str) -> str | None:
    return _texts(inputs, name)[0] if name in inputs else None
