import pytest

from loadtests import bandit_kills
from loadtests.bandit_parts import ARMS


@pytest.mark.timeout(180)
def test_killed_at_random_moments_each_reward_is_learnt_once_and_a_replay_agrees(parts):
    parts.declare_experiment(**dict.fromkeys(ARMS, 1))
    parts.declare_policy(updateFrequency="500ms")
    traffic = parts.traffic()
    traffic.decide("k-first", "one")
    traffic.reward("k-first", 0.0)
    traffic.flush()
    before = parts.epoch_of(rewards_learnt=1)["rewards"]  # other tests' records are read
    outcome = bandit_kills.run(parts, rewards=6_000, kills=3, seconds=8, seed=5)
    outcome.by_arm["one"] += 1
    assert outcome.kills == {"controller": 2, "kafka": 1}
    assert outcome.status["rewards"]["learnt"] == outcome.rewards + 1
    doubled = outcome.status["rewards"]["duplicate"] - before["duplicate"]
    assert doubled == outcome.rewards // 10
    assert outcome.status["decisions"]["taken"] == outcome.rewards + 1
    told = {each["name"]: each["rewards"] for each in outcome.status["arms"]}
    assert told == outcome.by_arm
    assert outcome.replayed == outcome.by_arm
    assert outcome.different == []
    for each in outcome.status["arms"]:
        mean = outcome.sums[each["name"]] / outcome.by_arm[each["name"]]
        assert each["posterior"]["mean"] == pytest.approx(mean, abs=0.02)
    assert "done again, does not give" not in parts.controller.log.read_text()
