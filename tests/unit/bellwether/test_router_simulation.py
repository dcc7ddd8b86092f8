"""The contextual policy in made-up markets and on days of a made-up past."""

import numpy as np
import pytest

from bellwether import router_history, router_simulation
from infra.catalogue import bandits, models, pipelines
from models import unseen
from runtimes import contract
from runtimes.bandit import declaration

SPEC = bandits.REGIME_ROUTER.spec


def test_where_strengths_lie_elsewhere_it_beats_the_rule_and_every_fixed_branch() -> None:
    found = router_simulation.simulate("strengths elsewhere", horizon=4000, repetitions=3, seed=4)
    for other in (router_simulation.RULE, router_simulation.FIXED):
        late = found.late_gains[other]
        assert late.mean > 3 * late.se > 0, other
    assert found.gains[router_simulation.RULE].mean > 0, "the cold start included"
    assert found.late_gains[router_simulation.ORACLE].mean < 0


def test_where_the_thresholds_are_right_it_costs_what_it_explores_and_no_more() -> None:
    found = router_simulation.simulate("thresholds right", horizon=1500, repetitions=2)
    earned, rule = (found.earned[name].mean for name in ("contextual", "rule"))
    assert rule == pytest.approx(0.034), "the rule is the oracle here"
    assert 0.030 < earned < rule


def test_the_same_seed_gives_the_same_numbers() -> None:
    first, again = (
        router_simulation.simulate("one branch", horizon=400, repetitions=2) for _ in range(2)
    )
    assert first == again
    other = router_simulation.simulate("one branch", horizon=400, repetitions=2, seed=2)
    assert other != first


def test_until_rewards_come_the_rule_leads() -> None:
    markets = router_simulation.Markets(np.array([0.4, 0.1, 0.1]), np.array([0.0, 0.05, -0.05]))
    everything = np.arange(3)
    chances = router_simulation.walk(
        markets, [(everything, everything[:0])], lambda _rows, arms: np.zeros(len(arms)), SPEC, 1
    )
    best = chances.argmax(axis=1)
    assert [contract.BRANCHES[place] for place in best] == ["robust", "aggressive", "conservative"]
    assert best.tolist() == router_simulation.ruled(markets).tolist()
    np.testing.assert_allclose(chances.max(axis=1), 0.9)


def test_a_reward_is_learnt_once_and_not_before_it_was_known() -> None:
    days = np.arange("2015-01-01", "2015-03-01", dtype="datetime64[D]")
    date = np.repeat(days, 2)
    found = unseen.Unseen(
        models=contract.BRANCHES,
        rows=np.arange(len(date)),
        date=date,
        known=date + np.timedelta64(7, "D"),
        utility=np.zeros((len(date), 4)),
    )
    seen: list[int] = []
    for day, (asked, known) in zip(days, router_history._days(found), strict=True):
        assert (date[asked] == day).all()
        assert (found.known[known] <= day).all()
        seen += known.tolist()
    assert sorted(seen) == list(range(2 * (len(days) - 7)))


def test_the_catalogues_policy_is_the_routers_and_begins_in_the_shade() -> None:
    assert SPEC.experiment == models.REGIME_ROUTER.name
    assert (SPEC.mode, SPEC.contextual) == ("shadow", True)
    assert bandits.REGIME_ROUTER not in bandits.POLICIES
    assert dict(models.REGIME_ROUTER.parameters)["policy"] == "thresholds"
    assert tuple(pipelines.BRANCHES) == contract.BRANCHES
    assert declaration.parse(declaration.manifest(bandits.REGIME_ROUTER)) == bandits.REGIME_ROUTER
