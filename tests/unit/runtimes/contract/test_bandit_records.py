import json
import math
import random
import struct
import time
from typing import Any

import pytest

from runtimes.contract import bandits

REWARD = {"prediction_id": "r-1", "metric": "business_value", "value": 0.04, "time": 1.5}
DECISION = {
    "id": "r-1",
    "time": 1764039402.125,
    "experiment": "financial-mab-experiment",
    "arm": "baseline-predictor",
    "context": {"volatility": 0.2, "trend": -0.01},
    "propensity": None,
}


def encoded(given: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**given, **changes}).encode()


@pytest.mark.parametrize(
    ("kind", "given"), [(bandits.Reward, REWARD), (bandits.Decision, DECISION)]
)
def test_a_record_is_written_with_the_keys_of_its_topic(
    kind: type[bandits.Record], given: dict[str, Any]
) -> None:
    record = kind.decode(encoded(given))
    assert json.loads(record.encode()) == given
    assert kind.decode(record.encode()) == record


def test_an_allocation_survives_with_what_the_controller_adds() -> None:
    allocation = bandits.Allocation(
        experiment="e",
        policy="p",
        epoch=3,
        time=2.0,
        weights={"a": 7500, "b": 2500},
        previous={"a": 5000, "b": 5000},
        applied=True,
        mode="active",
        vetoes=(bandits.Veto(arm="b", reason="errors 12 %"),),
        counts={"a": {"rewards": 4, "late": 1}},
        offsets=bandits.Consumed(decisions=(0, 9), rewards=(2, 6)),
        spec_digest="s",
        state_digest="t",
        details={"sample_ratio": 0.3},
    )
    assert bandits.Allocation.decode(allocation.encode()) == allocation
    assert json.loads(allocation.encode())["offsets"] == {"decisions": [0, 9], "rewards": [2, 6]}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"value": math.nan}, "reward: value: Input should be a finite number, got nan"),
        ({"value": -math.inf}, "finite"),
        ({"value": "0.1"}, "value: Input should be a valid number, got '0.1'"),
        ({"value": True}, "value"),
        ({"value": None}, "value"),
        ({"prediction_id": ""}, "prediction_id: String should have at least 1 character"),
        ({"prediction_id": "x" * 257}, "at most 256"),
        ({"prediction_id": 7}, "prediction_id"),
        ({"arm": "a"}, "arm: Extra inputs are not permitted, got 'a'"),
    ],
)
def test_a_wrong_reward_is_refused_with_its_key(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(bandits.InvalidRecord, match=told):
        bandits.Reward.decode(encoded(REWARD, **changes))


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"\xff", b'{"value": 1}'])
def test_what_is_no_record_is_refused(value: bytes | None) -> None:
    with pytest.raises(bandits.InvalidRecord, match="reward: "):
        bandits.Reward.decode(value)


@pytest.mark.parametrize("propensity", [0.0, -0.1, 1.01])
def test_a_propensity_is_a_probability_above_zero(propensity: float) -> None:
    with pytest.raises(bandits.InvalidRecord, match="propensity"):
        bandits.Decision.decode(encoded(DECISION, propensity=propensity))


def test_floats_come_back_to_the_bit() -> None:
    generator = random.Random(1)  # noqa: S311  reproducible, not secret
    for _ in range(20_000):
        value = struct.unpack("<d", generator.randbytes(8))[0]
        if math.isfinite(value):
            reward = bandits.Reward(prediction_id="r", metric="m", value=value, time=0.0)
            again = bandits.Reward.decode(reward.encode()).value
            assert struct.pack("<d", again) == struct.pack("<d", value)


def test_twenty_thousand_records_of_each_kind_take_a_fifth_of_a_second_at_most() -> None:
    reward, decision = encoded(REWARD), encoded(DECISION)

    def seconds() -> float:
        began = time.process_time()
        for _ in range(20_000):
            bandits.Reward.decode(reward)
            bandits.Decision.decode(decision)
        return time.process_time() - began

    taken = min(seconds() for _ in range(5))
    assert taken < 0.2, f"{taken:.3f} s"
