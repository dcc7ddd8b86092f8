"""The rule by thresholds: volatile, else rising or falling, else calm; with hysteresis on request.

Without hysteresis it is a pure function of the two measures, the same as `contract.regimes.of`.
With it, a symbol leaves the regime that it is in only when the measure has moved back beyond
`threshold * (1 - hysteresis)`, as a Schmitt trigger does (Schmitt 1938): a market that hovers at
a threshold does not change its branch with every request.
A regime that is checked earlier is entered at its full threshold from any other one: a rising
market that becomes volatile is volatile at once. The calm one has no measure and no memory.
"""

import dataclasses

from runtimes.contract import regimes

from . import policy


@dataclasses.dataclass(frozen=True, slots=True)
class RegimeRule:
    """Chooses by volatility and trend against thresholds, both shares of 1."""

    volatility_threshold: float
    trend_threshold: float
    window_days: int
    hysteresis: float

    def choose(self, context: policy.Context) -> policy.Choice:
        """See `policy.Policy`."""
        regime, reason = self._regime(context)
        return policy.Choice(branch=policy.BRANCH[regime], regime=regime, reason=reason)

    def _regime(self, context: policy.Context) -> tuple[str, str]:
        volatility, trend, days = context.volatility, context.trend, self.window_days
        bar = self._bar(self.volatility_threshold, context, regimes.VOLATILE)
        if volatility > bar:
            return regimes.VOLATILE, (
                f"volatility {_percent(volatility)} a year over {days} days is above "
                f"{self._described(bar, self.volatility_threshold)}"
            )
        bar = self._bar(self.trend_threshold, context, regimes.RISING)
        if trend > bar:
            return regimes.RISING, (
                f"trend {_percent(trend)} over {days} days is above "
                f"{self._described(bar, self.trend_threshold)}"
            )
        bar = self._bar(self.trend_threshold, context, regimes.FALLING)
        if trend < -bar:
            return regimes.FALLING, (
                f"trend {_percent(trend)} over {days} days is below "
                f"{self._described(-bar, -self.trend_threshold)}"
            )
        return regimes.CALM, (
            f"volatility {_percent(volatility)} a year is at most "
            f"{_percent(self.volatility_threshold)}, and trend {_percent(trend)} over {days} days "
            f"within ±{_percent(self.trend_threshold)}"
        )

    def _bar(self, threshold: float, context: policy.Context, regime: str) -> float:
        """Give what the measure has to exceed for `regime`: less for a symbol that is in it."""
        return threshold * (1 - self.hysteresis) if context.previous == regime else threshold

    def _described(self, bar: float, threshold: float) -> str:
        if bar == threshold:
            return _percent(bar)
        return (
            f"{_percent(bar)}, which a symbol in this regime has to move back beyond "
            f"({_percent(threshold)}, hysteresis {self.hysteresis:g})"
        )


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
