"""Chooses one branch for a request by the market's regime, as an MLServer model.

Set `implementation` to `runtimes.router.runtime.Router`; see `settings.Settings` for what
`parameters.extra` may say.
"""

import collections
import datetime as dt
import json
import logging
import pathlib
from collections.abc import Mapping

import numpy as np

from runtimes import contract
from runtimes.contract import publishing, regimes, step

from . import contextual, decisions, following, metrics, policy, rule, settings

MARKET_VOLATILITY = "market_volatility"
MARKET_TREND = "market_trend"

TOPIC = "routing"

_THRESHOLDS = {"volatility_threshold", "trend_threshold", "window_days", "hysteresis"}

SYMBOLS = 10_000
"""Symbols whose last regime is remembered: beyond that, the one unseen for longest is forgotten."""

logger = logging.getLogger("mlserver.bellwether.router")


class Router(step.Step):
    """Answers with the regime, its two measures and exactly one of `contract.BRANCHES`.

    It remembers each symbol's last regime, for the records and for hysteresis, in this process:
    a restart or a reload forgets it, and of two replicas each knows what it saw itself.
    A request without a symbol has no past.
    """

    SETTINGS = settings.Settings
    TAKES = (
        step.Tensor(
            contract.HISTORY,
            "FP64",
            (1, -1, -1),
            "channel 0 is the daily log return; oldest day first",
        ),
        step.Tensor(contract.SYMBOL, "BYTES", (1,), "whose history it is", required=False),
        step.Tensor(
            contract.FEATURES,
            "FP64",
            (1, -1),
            "not looked at: a predictor's request is routed as it is",
            required=False,
            finite=False,
        ),
    )
    GIVES = (
        step.Tensor(contract.REGIME, "BYTES", (1,), ", ".join(regimes.NAMES)),
        step.Tensor(
            MARKET_VOLATILITY, "FP64", (1,), "annualised root mean square of the log returns"
        ),
        step.Tensor(MARKET_TREND, "FP64", (1,), "simple return over the window"),
        *(
            step.Tensor(
                branch, "BYTES", (1,), f"there if the market is {regime}: why", required=False
            )
            for regime, branch in policy.BRANCH.items()
        ),
    )

    given: settings.Settings
    _follower: following.Follower | None = None

    async def load(self) -> bool:
        """Read the settings; begin to follow a contextual policy's state, and read it once."""
        await super().load()
        if self._follower is not None:
            await self._follower.read()
            self._follower.start()
        return True

    async def unload(self) -> bool:
        """Follow the state no longer."""
        if self._follower is not None:  # MLServer also unloads what could not be loaded
            await self._follower.stop()
        return True

    def open(self, folder: pathlib.Path) -> None:
        """Nothing is read from the folder: a router is its settings."""
        del folder
        given = self.given
        self._policy: policy.Policy = rule.RegimeRule(
            volatility_threshold=given.volatility_threshold,
            trend_threshold=given.trend_threshold,
            window_days=given.window_days,
            hysteresis=given.hysteresis,
        )
        self._thresholds = given.model_dump(include=_THRESHOLDS)
        self._decisions: decisions.Decisions | None = None
        if given.policy == "contextual" and given.valkey and given.kafka:
            experiment = given.experiment or self.label
            self._follower = following.Follower(given.valkey, self.label, experiment)
            self._policy = contextual.ContextualPolicy(self._policy, self._follower, experiment)
            self._decisions = decisions.Decisions(self.label, experiment, given.kafka)
        self._previous: collections.OrderedDict[str, str] = collections.OrderedDict()
        self._publisher = publishing.shared(given.kafka) if given.kafka else None
        self._choices = {
            branch: metrics.CHOICES.labels(self.label, branch) for branch in contract.BRANCHES
        }

    async def run(
        self, inputs: Mapping[str, step.Value], asked: step.Asked
    ) -> Mapping[str, step.Value]:
        """See `step.Step.run`."""
        context = self._context(inputs, asked.id)
        choice = self._policy.choose(context)
        self._choices[choice.branch].inc()
        if self._decisions is not None:
            self._decisions.take(asked.id, choice)
        if context.symbol is not None:
            self._remember(context.symbol, choice.regime)
            if context.previous not in {None, choice.regime}:
                logger.info("%s left %s: %s", context.symbol, context.previous, choice.reason)
        if self._publisher is not None:
            record = self._record(asked.id, context, choice)
            self._publisher.publish(TOPIC, json.dumps(record).encode(), key=context.symbol)
        return {
            contract.REGIME: [choice.regime],
            MARKET_VOLATILITY: np.array([context.volatility]),
            MARKET_TREND: np.array([context.trend]),
            choice.branch: [choice.reason],
        }

    def _context(self, inputs: Mapping[str, step.Value], identity: str | None) -> policy.Context:
        history, symbols = np.asarray(inputs[contract.HISTORY]), inputs.get(contract.SYMBOL)
        window = self.given.window_days
        _, days, channels = history.shape
        if days < window or not channels:
            raise step.InvalidRequest(
                f"tensor {contract.HISTORY!r}: expected at least {window} days (`window_days`) "
                f"of one channel, the daily log return, got {days} days of {channels}; "
                "send a longer history"
            )
        with np.errstate(over="ignore"):  # found, and named, below
            volatility = float(regimes.volatility(history, window)[0])
            trend = float(regimes.trend(history, window)[0])
        if not np.isfinite((volatility, trend)).all():
            raise step.InvalidRequest(
                f"tensor {contract.HISTORY!r}: its log returns are finite, but far outside of "
                f"what a market does (volatility {volatility}, trend {trend}); check their unit"
            )
        symbol = symbols[0] if isinstance(symbols, list) else None
        return policy.Context(
            symbol=symbol,
            volatility=volatility,
            trend=trend,
            previous=self._previous.get(symbol) if symbol is not None else None,
            history=history,
            id=identity,
        )

    def _remember(self, symbol: str, regime: str) -> None:
        self._previous[symbol] = regime
        self._previous.move_to_end(symbol)
        if len(self._previous) > SYMBOLS:
            self._previous.popitem(last=False)

    def _record(
        self, prediction: str | None, context: policy.Context, choice: policy.Choice
    ) -> dict[str, object]:
        record: dict[str, object] = {
            "id": prediction,
            "time": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            "router": self.label,
            "symbol": context.symbol,
            "regime": choice.regime,
            "branch": choice.branch,
            "volatility": context.volatility,
            "trend": context.trend,
            "thresholds": self._thresholds,
            "previous": context.previous,
            "reason": choice.reason,
            "propensity": choice.propensity,
        }
        if choice.decided is not None:
            record["contextual"] = choice.decided.document()
        return record
