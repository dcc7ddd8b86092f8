"""What an epoch decides before there are rewards: nothing, except for vetoes and their end."""

import pytest

from runtimes.bandit import declaration
from runtimes.bandit.controller.deciding import decide
from runtimes.bandit.controller.state import TOPICS, State

ARMS = ("steady", "brittle")


@pytest.fixture
def state():
    spec = declaration.parse_spec(
        {
            "experiment": "e",
            "algorithm": {"name": "thompson"},
            "rewardKind": "continuous",
            "explorationRate": 0.1,
            "guardrails": {"maxErrorRate": 0.05, "minimumRewards": 10},
        }
    )
    return State(spec, ARMS, dict.fromkeys(TOPICS, 0), 1000)


def share(decided, arm):
    return decided.weights[arm] / sum(decided.weights.values())


def test_without_rewards_weights_are_anybodys(state):
    decided = decide(state, {"steady": 70, "brittle": 30}, {})
    assert not decided.moves
    assert decided.weights == {"steady": 70, "brittle": 30}


def test_a_vetoed_arm_has_no_traffic_and_a_healed_one_its_floor(state):
    vetoed = decide(state, {"steady": 50, "brittle": 50}, {"brittle": "it fails"})
    assert vetoed.moves
    assert share(vetoed, "brittle") == 0
    healed = decide(state, vetoed.weights, {}, {"brittle"})
    assert healed.moves
    assert share(healed, "brittle") == pytest.approx(0.05)
    assert "brittle has healed" in " ".join(healed.reasons)
    after = decide(state, healed.weights, {}, set())
    assert not after.moves
    assert after.weights == healed.weights


def test_when_every_arm_is_bad_somebody_answers(state):
    vetoes = dict.fromkeys(ARMS, "it fails")
    decided = decide(state, {"steady": 50, "brittle": 50}, vetoes)
    assert not decided.vetoes
    assert decided.weights == {"steady": 50, "brittle": 50}
