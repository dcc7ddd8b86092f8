"""The controller with real Kafka, Valkey and mesh."""

import itertools
import json
import random

import httpx
import pytest
import redis

from loadtests import bandit_parts
from loadtests.bandit_parts import ARMS, until
from runtimes.contract import bandits

EVEN = dict.fromkeys(ARMS, 1)


def _reward_all(traffic, prefix, count, best="three", seed=1):
    draw = random.Random(seed)  # noqa: S311 - a test's values, the same each time
    for number in range(count):
        arm = draw.choice(ARMS)
        traffic.decide(f"{prefix}-{number}", arm)
        traffic.reward(f"{prefix}-{number}", draw.gauss(1.0 if arm == best else 0.0, 1.0))
    traffic.flush()


def _weights_are(parts, wanted, what):
    return until(lambda: parts.weights() if wanted(parts.weights()) else None, what)


def test_weights_move_to_what_earns_and_each_epoch_is_logged_and_told(parts):
    parts.declare_experiment(one=40, two=30, three=20, four=10)
    parts.declare_policy(updateFrequency="500ms")
    traffic = parts.traffic()
    _reward_all(traffic, "w", 600)
    moved = _weights_are(parts, lambda weights: weights["three"] > 9000, "three has the traffic")
    assert sum(moved.values()) == 10_000
    assert min(moved.values()) >= 250  # exploration 0.1 over four arms
    status = parts.epoch_of(rewards_learnt=600)
    arms = {each["name"]: each for each in status["arms"]}
    assert sum(each["rewards"] for each in arms.values()) == 600
    assert abs(arms["three"]["posterior"]["mean"] - 1.0) < 0.4
    assert {name: each["weight"] for name, each in arms.items()} == moved
    log = parts.allocations()
    assert [each.epoch for each in log] == list(range(len(log)))
    assert log[0].details["begins"]
    assert log[0].weights == {"one": 40, "two": 30, "three": 20, "four": 10}
    for before, after in itertools.pairwise(log):
        assert after.previous == before.weights
        assert after.offsets.decisions[0] == before.offsets.decisions[1]
        assert after.offsets.rewards[0] == before.offsets.rewards[1]
    assert log[-1].weights == moved
    assert status["epochs"][0]["epoch"] == log[-1].epoch


def test_before_there_are_rewards_enough_the_weights_are_anybodys(parts):
    parts.declare_experiment(one=40, two=30, three=20, four=10)
    parts.declare_policy(updateFrequency="300ms", guardrails={"minimumRewards": 150})
    _reward_all(parts.traffic(), "m", 100)
    parts.epoch_of(rewards_learnt=100)
    assert parts.weights() == {"one": 40, "two": 30, "three": 20, "four": 10}
    last = parts.allocations()[-1]
    assert not last.applied
    assert last.details["reasons"] == ["100 of 150 rewards are there: weights do not move yet"]
    parts.set_weights(one=1, two=1, three=1, four=1)
    _reward_all(parts.traffic(), "m2", 20)
    parts.epoch_of(rewards_learnt=120)
    assert parts.weights() == EVEN
    assert parts.status().get("foreignChange") is None
    _reward_all(parts.traffic(), "m3", 100)
    _weights_are(parts, lambda weights: weights["three"] > 9000, "three has the traffic")


def test_without_anything_new_no_epoch_is_written(parts):
    parts.declare_experiment(**EVEN)
    parts.declare_policy(updateFrequency="200ms")
    _reward_all(parts.traffic(), "n", 100)
    parts.epoch_of(rewards_learnt=100)
    before = until(lambda: len(parts.allocations()) or None, "the log has epochs")
    resting = until(lambda: True if len(parts.allocations()) == before else None, "no more epochs")
    assert resting
    assert parts.weights() == parts.allocations()[-1].weights


def test_what_is_no_reward_is_counted_and_never_learnt(parts):
    parts.declare_experiment(**EVEN)
    parts.declare_policy(updateFrequency="300ms", rewardTimeLimit="2s")
    parts.standing("Active")
    traffic = parts.traffic()
    traffic.decide("b-0", "one")
    traffic.reward("b-0", 1.0)
    traffic.flush()
    before = parts.epoch_of(rewards_learnt=1)["rewards"]  # other tests' records are read
    for id_, arm in (("b-1", "one"), ("b-2", "two"), ("b-3", "nobody"), ("b-5", "four")):
        traffic.decide(id_, arm)
    traffic.decide("b-1", "two")
    traffic.decide("b-4", "one", experiment="another")
    traffic.raw(bandits.DECISIONS, b"{}")
    for id_, value in (("b-1", 1.0), ("b-1", 5.0), ("b-3", 1.0), ("b-4", 1.0), ("b-7", 1.0)):
        traffic.reward(id_, value)
    traffic.reward("b-2", 1.0, metric="clicks")
    traffic.reward("b-2", 1e200)
    spoilt = {"prediction_id": "b-2", "metric": "business_value", "value": 1.0, "time": 0.0}
    traffic.raw(bandits.REWARDS, json.dumps({**spoilt, "value": float("nan")}).encode())
    traffic.raw(bandits.REWARDS, json.dumps({**spoilt, "value": float("inf")}).encode())
    traffic.raw(bandits.REWARDS, b"not json")
    traffic.flush()
    status = parts.epoch_of(
        decisions_taken=4,
        decisions_duplicate=1,
        decisions_unknown_arm=1,
        decisions_malformed=1,
        rewards_learnt=2,
        rewards_duplicate=1,
        rewards_unknown_arm=1,
        rewards_other_experiment=before["other_experiment"] + 1,
        rewards_other_metric=1,
        rewards_out_of_range=1,
        rewards_non_finite=2,
        rewards_malformed=1,
    )
    assert {each["name"]: each["rewards"] for each in status["arms"]} == {
        "one": 2,
        "two": 0,
        "three": 0,
        "four": 0,
    }

    sent = iter(range(1000))

    def late() -> bool | None:
        """Kafka's clock goes on with what is written."""
        traffic.decide(f"b-tick-{next(sent)}", "one")
        traffic.flush()
        return True if parts.status()["rewards"]["unknown"] == before["unknown"] + 1 else None

    until(late, "the reward without a decision is given up")
    traffic.reward("b-5", 1.0)
    traffic.flush()
    parts.epoch_of(rewards_learnt=2, rewards_late=before["late"] + 1)


def test_an_experiment_that_is_not_there_is_named_and_found_once_it_is(parts):
    parts.declare_policy(updateFrequency="300ms")
    said = parts.standing("ExperimentMissing")
    assert f"there is no experiment {parts.experiment!r}" in said
    parts.declare_experiment(**EVEN)
    parts.standing("Active")


def test_shadow_decides_and_writes_nothing_and_active_then_writes(parts):
    parts.declare_experiment(one=40, two=30, three=20, four=10)
    parts.declare_policy(updateFrequency="300ms", mode="shadow")
    _reward_all(parts.traffic(), "s", 400)
    parts.epoch_of(rewards_learnt=400)
    last = parts.allocations()[-1]
    assert (last.applied, last.mode) == (False, "shadow")
    assert last.weights["three"] > 9000
    assert parts.weights() == {"one": 40, "two": 30, "three": 20, "four": 10}
    parts.patch_policy(mode="active")
    _weights_are(parts, lambda weights: weights["three"] > 9000, "three has the traffic")
    parts.patch_policy(mode="frozen")
    parts.standing("Frozen")
    parts.set_weights(one=1, two=1, three=1, four=1)
    _reward_all(parts.traffic(), "s2", 100)
    parts.epoch_of(rewards_learnt=500)
    assert parts.weights() == EVEN


def test_somebody_elses_weights_are_put_right(parts):
    parts.declare_experiment(**EVEN)
    parts.declare_policy(updateFrequency="500ms")
    _reward_all(parts.traffic(), "f", 400)
    ours = _weights_are(parts, lambda weights: weights["three"] > 9000, "three has the traffic")
    parts.epoch_of(rewards_learnt=400)
    parts.set_weights(one=97, two=1, three=1, four=1)
    _weights_are(parts, lambda weights: weights == ours, "ours are back")
    told = until(lambda: parts.status().get("foreignChange"), "the status tells of it")
    assert told["weights"] == {"one": 97, "two": 1, "three": 1, "four": 1}
    assert told["action"] == "restored"


def test_somebody_elses_weights_are_respected_until_the_policy_changes(parts):
    parts.declare_experiment(**EVEN)
    parts.declare_policy(updateFrequency="500ms", foreignChanges="respect")
    _reward_all(parts.traffic(), "r", 400)
    ours = _weights_are(parts, lambda weights: weights["three"] > 9000, "three has the traffic")
    parts.epoch_of(rewards_learnt=400)
    theirs = {"one": 97, "two": 1, "three": 1, "four": 1}
    parts.set_weights(**theirs)
    parts.standing("ForeignWeights")
    _reward_all(parts.traffic(), "r2", 100)
    parts.epoch_of(rewards_learnt=500)
    assert parts.weights() == theirs
    parts.patch_policy(foreignChanges="restore")
    moved = _weights_are(parts, lambda weights: weights["three"] > 9000, "ours are back")
    assert moved.keys() == ours.keys()


def test_other_candidates_keep_what_is_known_of_those_that_stay(parts):
    parts.declare_experiment(one=1, two=1, three=1)
    parts.declare_policy(updateFrequency="500ms")
    traffic = parts.traffic()
    for number in range(300):
        arm = ARMS[number % 3]
        traffic.decide(f"c-{number}", arm)
        traffic.reward(f"c-{number}", (1.0 if arm == "three" else 0.0) + number % 7 / 100)
    traffic.flush()
    parts.epoch_of(rewards_learnt=300)
    parts.set_weights(three=50, five=50)
    status = until(
        lambda: (
            parts.status()
            if [each["name"] for each in parts.status().get("arms") or []] == ["three", "five"]
            else None
        ),
        "the arms are three and five",
    )
    three, five = status["arms"]
    assert (three["rewards"], five["rewards"]) == (100, 0)
    assert abs(three["posterior"]["mean"] - 1.03) < 0.05
    traffic.decide("c-five", "five")
    traffic.reward("c-five", 0.5)
    traffic.flush()
    until(lambda: parts.status()["arms"][1]["rewards"] or None, "five's reward is learnt")


def test_only_one_of_two_controllers_writes(parts, all_parts):
    parts.declare_experiment(**EVEN)
    parts.declare_policy(updateFrequency="500ms")
    parts.standing("Active")
    (port,) = bandit_parts.free_ports(1)
    second = all_parts.another_controller(port, "second")
    second.start()
    try:
        metric = f'bellwether_bandit_leading{{policy="{parts.policy}"}} '

        def leads(port: int) -> float | None:
            try:
                text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            except httpx.TransportError:
                return None
            found = [line for line in text.splitlines() if line.startswith(metric)]
            return float(found[0].rpartition(" ")[2]) if found else None

        assert until(lambda: True if leads(port) == 0.0 else None, "the second one waits")
        _reward_all(parts.traffic(), "t", 200)
        parts.epoch_of(rewards_learnt=200)
        parts.controller.kill()
        assert until(lambda: leads(port) or None, "the second one leads") == 1.0
        _reward_all(parts.traffic(), "t2", 200)
        parts.epoch_of(rewards_learnt=400)
        parts.controller.start()
        assert until(lambda: True if leads(parts.port) == 0.0 else None, "the first one waits")
    finally:
        second.stop()
    until(lambda: leads(parts.port) or None, "the first one leads again")
    epochs = [each.epoch for each in parts.allocations()]
    assert epochs == list(range(len(epochs)))


@pytest.mark.parametrize("part", ["valkey", "mesh"])
def test_with_a_part_away_weights_stay_and_nothing_is_lost(parts, part):
    parts.declare_experiment(**EVEN)
    parts.declare_policy(updateFrequency="300ms")
    _reward_all(parts.traffic(), f"{part}-a", 200)
    parts.epoch_of(rewards_learnt=200)
    before = parts.weights()
    away = getattr(parts, part)
    away.kill()
    _reward_all(parts.traffic(), f"{part}-b", 200, best="one")
    if part == "valkey":
        assert "valkey" in parts.standing("ValkeyAway")
        assert parts.weights() == before
    log = parts.controller.log
    until(lambda: True if f"{part.capitalize()}Away" in log.read_text() else None, "it is logged")
    away.start()
    until(getattr(parts, f"{part}_answers"), f"{part} answers")
    parts.epoch_of(rewards_learnt=400)
    parts.standing("Active")


def test_a_lost_checkpoint_is_made_again_from_the_topics(parts):
    parts.declare_experiment(**EVEN)
    parts.declare_policy(updateFrequency="300ms")
    _reward_all(parts.traffic(), "l", 300)
    status = parts.epoch_of(rewards_learnt=300)
    parts.controller.kill()
    with redis.Redis(port=parts.valkey_port) as client:
        client.flushall()
    parts.controller.start()
    parts.traffic().decide("l-more", "one")
    again = parts.epoch_of(rewards_learnt=300, decisions_taken=300)
    assert again["arms"] == status["arms"]
    assert "does not give the state" not in parts.controller.log.read_text()
