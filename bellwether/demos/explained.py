"""Days whose forecasts were explained, and what was checked of each explanation."""

import collections
import dataclasses
import typing

import numpy as np

from bellwether import demos
from runtimes import contract

from . import documents, gateway, periods

MODEL = "explanations"
METHOD = "method"
TOP = 5

ADDITIVE_TOLERANCE = 1e-6
"""How far contributions may miss the output, relatively (issue: 1e-6)."""

FORECAST_TOLERANCE = 1e-6
"""How far the explained output may be from the served forecast, relatively."""


@dataclasses.dataclass(frozen=True, slots=True)
class Flip:
    """A counterfactual, and whether the deployed model, asked again, really flips."""

    found: documents.Counterfactual
    again: float
    """The volatility that the deployed model gives for the changed day; NaN if nothing was found."""

    @property
    def confirmed(self) -> bool:
        """Whether it gives what the explanation says, on the other side."""
        after = self.found.after
        return after is not None and bool(
            np.isclose(self.again, after.volatility, rtol=FORECAST_TOLERANCE)
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Explained:
    """One day."""

    date: str
    volatility: float
    """The served forecast."""
    document: documents.Document
    milliseconds: float
    """Of the whole request."""
    agreement: float | None = None
    """Share of SHAP's top five features that LIME names too; None where only one was asked."""
    flips: tuple[Flip, ...] = ()


class Inquirer:
    """Asks for forecasts and their explanations."""

    def __init__(
        self, asked: gateway.Gateway, days: periods.Days, model: str, method: documents.Method
    ) -> None:
        self._asked = asked
        self._days = days.inputs
        self._model = model
        self._method = method

    def explain(self, day: int) -> Explained:
        """Ask for one day, and check what comes.

        Raises:
            DemoError: something does not answer, or the explanation is not of the forecast.

        """
        inputs = self._inputs(day)
        forecast = self._asked.model(self._model, inputs)
        volatility = forecast.number(contract.VOLATILITY)
        _, _, artifact = forecast.texts(contract.MODEL)
        document, seconds = self._explanation(inputs, artifact, self._method)
        if document.model.artifact != artifact:
            raise demos.DemoError(
                f"the explanation is of artifact {document.model.artifact}, {self._model} is served "
                f"from {artifact}: train and bring up again (`make up`)"
            )
        if not isinstance(document, documents.Counterfactuals):
            _same(volatility, document.output, self._days.date[day])
        return Explained(
            date=str(self._days.date[day]),
            volatility=volatility,
            document=document,
            milliseconds=seconds * 1000,
            agreement=self._agreement(inputs, artifact, document),
            flips=tuple(self._flips(inputs, document)),
        )

    def _inputs(self, day: int) -> dict[str, gateway.Value]:
        which = slice(day, day + 1)
        return {
            contract.FEATURES: self._days.features[which],
            contract.HISTORY: self._days.history[which],
        }

    def _explanation(
        self, inputs: dict[str, gateway.Value], artifact: str, method: documents.Method
    ) -> tuple[documents.Document, float]:
        answer = self._asked.model(
            MODEL, {**inputs, contract.MODEL: [artifact], METHOD: [str(method)]}
        )
        return documents.read(method, answer.text(contract.EXPLANATION)), answer.seconds

    def _agreement(
        self, inputs: dict[str, gateway.Value], artifact: str, document: documents.Document
    ) -> float | None:
        """Compare with the other method's top five; LIME holds the history, so it is left out."""
        if isinstance(document, documents.Counterfactuals):
            return None
        other = (
            documents.Method.LIME
            if self._method is documents.Method.SHAP
            else documents.Method.SHAP
        )
        beside, _ = self._explanation(inputs, artifact, other)
        tops = [
            set(documents.top(features_only(each.weights()), TOP))
            for each in (document, beside)
            if not isinstance(each, documents.Counterfactuals)
        ]
        return len(tops[0] & tops[1]) / TOP

    def _flips(
        self, inputs: dict[str, gateway.Value], document: documents.Document
    ) -> typing.Iterator[Flip]:
        if not isinstance(document, documents.Counterfactuals):
            return
        for each in document.counterfactuals:
            if not each.found:
                yield Flip(each, float("nan"))
                continue
            history = np.array(inputs[contract.HISTORY])
            history[0, -1] = each.history_last_day
            again = self._asked.model(
                self._model,
                {contract.FEATURES: np.array([each.features]), contract.HISTORY: history},
            )
            yield Flip(each, again.number(contract.VOLATILITY))


def _same(volatility: float, output: float, date: object) -> None:
    if not np.isclose(volatility, np.exp(output), rtol=FORECAST_TOLERANCE):
        raise demos.DemoError(
            f"{date}: what is explained is a volatility of {np.exp(output):.9g}, the forecast is "
            f"{volatility:.9g}"
        )


def features_only(weights: dict[str, float]) -> dict[str, float]:
    """Leave out the channels of the history."""
    prefix = f"{contract.HISTORY}."
    return {name: value for name, value in weights.items() if not name.startswith(prefix)}


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """What all days came to; what a method does not have is None."""

    model: str
    method: documents.Method
    symbol: str
    market: periods.Market
    columns: tuple[str, ...]
    """The model's features, in order."""
    days: tuple[Explained, ...]

    @property
    def mean_sizes(self) -> dict[str, float]:
        """Mean size of each feature's contribution (SHAP) or weight (LIME), largest first."""
        total: dict[str, float] = collections.defaultdict(float)
        for day in self.days:
            if not isinstance(day.document, documents.Counterfactuals):
                for name, weight in day.document.weights().items():
                    total[name] += abs(weight) / len(self.days)
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    @property
    def largest_gap(self) -> float | None:
        """The largest relative gap between contributions and output, computed here."""
        gaps = [
            day.document.gap / abs(day.document.output)
            for day in self.days
            if isinstance(day.document, documents.Shap)
        ]
        return max(gaps, default=None)

    @property
    def r_squared(self) -> tuple[float, float] | None:
        """Median and lowest fidelity of LIME's lines."""
        found = [
            day.document.r_squared for day in self.days if isinstance(day.document, documents.Lime)
        ]
        return (float(np.median(found)), min(found)) if found else None

    @property
    def agreement(self) -> float | None:
        """Mean share of one method's top five that the other names too."""
        found = [day.agreement for day in self.days if day.agreement is not None]
        return float(np.mean(found)) if found else None

    @property
    def by_chance(self) -> float:
        """What two random top fives of the features would agree on."""
        names = features_only(self.mean_sizes)
        return TOP / len(names) if names else float("nan")

    @property
    def flips(self) -> tuple[int, int, int]:
        """Count counterfactuals: asked for, found, confirmed by the deployed model."""
        flips = [flip for day in self.days for flip in day.flips]
        return (
            len(flips),
            sum(flip.found.found for flip in flips),
            sum(flip.confirmed for flip in flips),
        )

    def milliseconds(self) -> tuple[float, float]:
        """Give median and longest time of an explanation, in the explainer."""
        found = [day.document.milliseconds for day in self.days]
        return float(np.median(found)), max(found)

    def document(self) -> dict[str, typing.Any]:
        """Give it as JSON's types."""
        median, longest = self.milliseconds()
        asked, found, confirmed = self.flips
        document: dict[str, typing.Any] = {
            "model": self.model,
            "artifact": self.days[-1].document.model.artifact,
            "method": str(self.method),
            "symbol": self.symbol,
            "market_conditions": str(self.market),
            "from": self.days[0].date,
            "to": self.days[-1].date,
            "days": len(self.days),
            "explanation_ms": {"median": round(median, 2), "max": round(longest, 2)},
        }
        if self.method is documents.Method.COUNTERFACTUAL:
            document["counterfactuals"] = {"asked": asked, "found": found, "confirmed": confirmed}
            return document
        document["mean_size"] = self.mean_sizes
        document["top_five_agreement"] = {"mean": self.agreement, "by_chance": self.by_chance}
        if self.method is documents.Method.SHAP:
            document["largest_relative_gap"] = self.largest_gap
        if fidelity := self.r_squared:
            document["r_squared"] = {"median": fidelity[0], "lowest": fidelity[1]}
        return document
