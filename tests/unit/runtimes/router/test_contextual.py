"""A contextual policy behind the router's interface, without a server."""

import dataclasses
import math

import numpy as np
import pytest

from runtimes import contract
from runtimes.contract import linear_choice, regimes
from runtimes.router import contextual, policy, rule

RULE = rule.RegimeRule(
    volatility_threshold=0.3, trend_threshold=0.02, window_days=20, hysteresis=0.0
)
COLUMNS = ("log_volatility", "scaled_trend")


@dataclasses.dataclass
class Known:
    """A state that is at hand, or why there is none."""

    chooser: linear_choice.Chooser | None
    missing: str = "Valkey is away"


def state(mode: str = "active", rewards: float = 1e4, **more: object) -> linear_choice.Record:
    """`baseline` earns most in every market, whatever the rule says."""
    inverse = tuple(map(tuple, (np.eye(3) / (1 + rewards)).tolist()))
    said: dict[str, object] = {
        "experiment": "regime-router", "policy": "by-context", "epoch": 3, "time": 1.5e9,
        "mode": mode, "algorithm": "linucb", "width": 1.0, "exploration": 0.2, "minimum": 20.0,
        "ridge": 1.0, "noise": 0.1, "arms": contract.BRANCHES, "features": COLUMNS,
        "intercept": True, "inverses": (inverse,) * 4,
        "coefficients": tuple((float(arm == "baseline"), 0.0, 0.0) for arm in contract.BRANCHES),
    }  # fmt: skip
    return linear_choice.Record.model_validate(said | more)


def of(record: linear_choice.Record | None) -> contextual.ContextualPolicy:
    source = Known(None if record is None else linear_choice.Chooser(record))
    return contextual.ContextualPolicy(RULE, source, "regime-router")


def asked(
    volatility: float = 0.4, trend: float = 0.0, identity: str | None = "a"
) -> policy.Context:
    return policy.Context("SPX", volatility, trend, None, np.zeros((1, 20, 1)), identity)


def decided(choice: policy.Choice) -> policy.Decided:
    assert choice.decided is not None
    return choice.decided


def test_an_active_policy_takes_what_earns_and_says_what_the_rule_takes() -> None:
    choices = [of(state()).choose(asked(identity=str(number))) for number in range(2000)]
    taken = [each for each in choices if each.branch == "baseline"]
    assert len(taken) / 2000 == pytest.approx(0.85, abs=0.03), "0.8 and a quarter of 0.2"
    for each in choices:
        assert each.propensity == pytest.approx(0.85 if each.branch == "baseline" else 0.05)
    said = taken[0]
    assert said.regime == "volatile", "the regime stays the market's"
    assert "by-context, epoch 3: baseline with probability 0.85" in said.reason
    assert "the rule takes robust: volatility 40 %" in said.reason
    assert (decided(said).lead, decided(said).rule, decided(said).epoch) == ("policy", "robust", 3)


@pytest.mark.parametrize(
    ("volatility", "trend", "branch"),
    [
        (0.4, 0, "robust"),
        (0.1, 0.05, "aggressive"),
        (0.1, -0.05, "conservative"),
        (0.1, 0, "baseline"),
    ],
)
def test_a_cold_policy_follows_the_thresholds_and_explores(
    volatility: float, trend: float, branch: str
) -> None:
    cold = of(state(rewards=5))
    choices = [cold.choose(asked(volatility, trend, str(number))) for number in range(2000)]
    share = sum(each.branch == branch for each in choices) / 2000
    assert share == pytest.approx(0.8, abs=0.03)
    for each in choices:
        assert each.propensity == pytest.approx(0.8 if each.branch == branch else 0.2 / 3)
        assert decided(each).lead == "fallback"
    assert {each.branch for each in choices} == set(contract.BRANCHES)


def test_a_policy_in_the_shade_is_told_beside_the_rule() -> None:
    shadow = of(state("shadow"))
    choices = [shadow.choose(asked(identity=str(number))) for number in range(1000)]
    assert sum(each.branch == "robust" for each in choices) / 1000 == pytest.approx(0.8, abs=0.05)
    for each in choices:
        told = decided(each)
        assert told.lead == "shadow"
        assert each.propensity == pytest.approx(0.8 if each.branch == "robust" else 0.2 / 3)
        assert told.propensities[each.branch] == each.propensity
        assert told.shadow is not None
        assert told.shadow["baseline"] == pytest.approx(0.85)
    shares = sum(decided(each).shadow_branch == "baseline" for each in choices) / 1000
    assert shares == pytest.approx(0.85, abs=0.05)
    ruled = next(each for each in choices if each.branch == "robust")
    assert ruled.reason == RULE.choose(asked()).reason


def test_without_a_state_the_rule_chooses_alone_and_says_why() -> None:
    choice = of(None).choose(asked())
    assert (choice.branch, choice.propensity) == ("robust", 1.0)
    assert choice.reason == RULE.choose(asked()).reason + " (by the rule: Valkey is away)"
    assert decided(choice).lead == "rule"
    assert decided(choice).propensities == {
        "robust": 1.0, "aggressive": 0.0, "conservative": 0.0, "baseline": 0.0,
    }  # fmt: skip


def test_a_state_that_looks_at_what_no_router_knows_leaves_the_rule_in_charge() -> None:
    choice = of(state(features=("log_volatility", "moon"))).choose(asked())
    assert (choice.branch, choice.propensity) == ("robust", 1.0)
    assert "'by-context' looks at 'moon'" in choice.reason


def test_a_request_that_comes_again_takes_the_branch_it_took() -> None:
    policy_ = of(state(rewards=5))
    for number in range(50):
        first = policy_.choose(asked(identity=str(number)))
        assert policy_.choose(asked(identity=str(number))).branch == first.branch
    branches = {policy_.choose(asked(identity=None)).branch for _ in range(300)}
    assert len(branches) > 1, "without an id each request is drawn anew"


def test_the_context_has_its_documented_units() -> None:
    found = contextual.features(0.3, -0.1, regimes.FALLING)
    assert tuple(found) == contextual.FEATURES
    assert found["log_volatility"] == pytest.approx(math.log(2))
    assert (found["scaled_trend"], found["absolute_trend"]) == pytest.approx((-2.0, 2.0))
    assert (found["volatility"], found["trend"]) == (0.3, -0.1)
    assert [found[name] for name in regimes.NAMES] == [0, 0, 1, 0]
    wild = contextual.features(0.0, 9.0, regimes.RISING)
    assert (wild["log_volatility"], wild["scaled_trend"]) == (-3.0, 3.0)
