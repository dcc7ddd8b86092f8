import confluent_kafka
import pytest

from bellwether import bandit_replay
from loadtests.bandit_parts import ARMS, until
from runtimes.bandit.judging import acting
from runtimes.contract import bandits


def _replayed(parts):
    return bandit_replay.run(parts.kafka, parts.policy, lambda done, count: None)


def test_a_replay_gives_every_state_and_weight_again_and_finds_what_was_changed(parts):
    parts.declare_experiment(**dict.fromkeys(ARMS, 1))
    parts.declare_policy(updateFrequency="300ms", forgetting={"name": "change-points"})
    traffic = parts.traffic()
    for part in range(3):
        for number in range(120):
            arm = ARMS[number % 4]
            traffic.decide(f"y-{part}-{number}", arm)
            traffic.reward(f"y-{part}-{number}", (arm == "two") + number % 13 / 10)
        traffic.flush()
        parts.epoch_of(rewards_learnt=120 * (part + 1))
    parts.patch_policy(maxStep=0.1, mode="shadow")
    until(lambda: parts.allocations()[-1].mode == "shadow" or None, "shadow is logged")
    found = _replayed(parts)
    assert found.different == ()
    assert found.learnt == 360
    last = parts.allocations()[-1]
    assert (found.epochs, found.digest) == (last.epoch + 1, last.state_digest)

    parts.remove_policy()
    forged = last.model_copy(
        update={
            "epoch": last.epoch + 1,
            "state_digest": "0" * 64,
            "weights": {**last.weights, "two": last.weights["two"] + 1},
        }
    )
    producer = confluent_kafka.Producer({"bootstrap.servers": parts.kafka})
    producer.produce(bandits.ALLOCATIONS, forged.encode(), forged.experiment)
    assert producer.flush(20) == 0
    assert _replayed(parts).different == ((last.epoch + 1, ("state", "weights")),)


def test_a_policy_without_a_log_cannot_be_replayed(parts):
    with pytest.raises(acting.BanditError, match="has no epoch in the log"):
        _replayed(parts)
