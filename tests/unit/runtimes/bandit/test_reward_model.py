"""The reward model inside a real MLServer, on a real Kafka that may be away."""

import struct
import time
import uuid
from typing import Any

import bandit_servers
import pytest
from bandit_servers import DELIVERY_SECONDS, MAX_REWARDS, REWARD

from runtimes.contract import bandits
from tests.conformance.environment import eventually
from tests.conformance.open_inference import Client, message


def tensor(name: str, values: list[Any], datatype: str = "FP64", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "shape": [len(values)],
        "datatype": datatype,
        "data": values,
        **more,
    }


def rewards(identities: list[str], values: list[Any], **more: list[Any]) -> list[dict[str, Any]]:
    given = [tensor("prediction_id", identities, "BYTES"), tensor("value", values)]
    for name, column in more.items():
        given.append(tensor(name, column, "BYTES" if name == "metric" else "FP64"))
    return given


def there(servers: bandit_servers.Servers, identity: str, count: int = 1) -> list[bandits.Reward]:
    """Wait for so many rewards of that id."""
    reader = servers.reader(bandits.REWARDS)

    def found() -> list[Any] | None:
        reader.by_topic(identity, count)
        of = [each for each in reader.records if each.key() == identity.encode()]
        return of if len(of) == count else None

    try:
        return [bandits.Reward.decode(each.value()) for each in eventually(found, "rewards") or ()]
    finally:
        reader.close()


def everything(servers: bandit_servers.Servers, last: str) -> list[bandits.Reward]:
    """All rewards up to the one of that id."""
    reader = servers.reader(bandits.REWARDS)
    try:
        reader.by_topic(last, 1)
        return [bandits.Reward.decode(each.value()) for each in reader.records]
    finally:
        reader.close()


def test_a_batch_is_answered_when_kafka_has_it(servers) -> None:
    given = rewards(
        ["a-1", "a-2"], [0.031, -2], metric=["business_value", "latency"], time=[12.5, 13.0]
    )
    assert servers.models.outputs(REWARD, *given) == {"acknowledged": [2.0]}
    assert there(servers, "a-1") == [
        bandits.Reward(prediction_id="a-1", metric="business_value", value=0.031, time=12.5)
    ]
    assert there(servers, "a-2") == [
        bandits.Reward(prediction_id="a-2", metric="latency", value=-2.0, time=13.0)
    ]


def test_metric_and_time_may_be_left_out_and_a_column_of_one_is_a_vector(servers) -> None:
    before = time.time()
    column = tensor("prediction_id", ["b-1"], "BYTES", shape=[1, 1])
    servers.models.outputs(REWARD, column, tensor("value", [0.5], "FP32", shape=[1, 1]))
    (reward,) = there(servers, "b-1")
    assert (reward.metric, reward.value) == ("business_value", 0.5)
    assert before <= reward.time <= time.time()


def test_a_reward_that_comes_twice_is_recorded_twice_for_the_controller_to_tell(servers) -> None:
    for _ in range(2):
        servers.models.outputs(REWARD, *rewards(["twice"], [1.0]))
    reader = servers.reader(bandits.REWARDS)

    def both() -> bool:
        reader.records.extend(r for r in reader._consumer.consume(100, 0.2) if r.error() is None)
        return [each.key() for each in reader.records].count(b"twice") == 2

    eventually(both, "both are there", 30)
    reader.close()


def test_over_grpc_texts_and_numbers_come_as_bytes(servers) -> None:
    identities = [b"g-1", "g-ü".encode()]
    texts = b"".join(struct.pack("<I", len(each)) + each for each in identities)
    request = message(
        "ModelInferRequest",
        {
            "modelName": REWARD,
            "inputs": [
                {"name": "prediction_id", "datatype": "BYTES", "shape": [2]},
                {"name": "value", "datatype": "FP64", "shape": [2]},
            ],
        },
    )
    request.raw_input_contents.extend([texts, struct.pack("<2d", 0.25, 0.75)])
    with Client(servers.grpc) as client:
        answer = client.answer(request, ())
    assert answer.code == "OK", answer.message
    assert there(servers, "g-ü")[0].value == 0.75


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        (rewards(["x"], ["NaN"]), "tensor 'value': expected finite numbers, got nan at [0]"),
        (rewards(["x", "y"], [1.0, "-Infinity"]), "got -inf at [1]"),
        (rewards(["x", "y"], [1.0]), "tensor 'value' has 1 rows, 'prediction_id' has 2"),
        (rewards(["x"], [1.0], time=[1.0, 2.0]), "tensor 'time' has 2 rows"),
        (rewards(["x"], [1.0], time=[1764039402123.0]), "Unix time in seconds"),
        (rewards(["x"], [1.0], time=[-1.0]), "Unix time in seconds"),
        (rewards(["x", ""], [1.0, 1.0]), "tensor 'prediction_id': the text at [1] is empty"),
        (rewards(["x"], [1.0], metric=[" "]), "tensor 'metric': the text at [0] is empty"),
        (rewards(["x" * 257], [1.0]), "has 257 characters"),
        (rewards([], []), "is empty: send at least one reward"),
        (rewards(["x"], [1.0])[:1], "tensor 'value' is missing"),
        (rewards(["x"], [1.0])[1:], "tensor 'prediction_id' is missing"),
        ([*rewards(["x"], [1.0]), tensor("valeu", [1.0])], "did you mean 'value'?"),
        (
            [tensor("prediction_id", [1], "INT64"), tensor("value", [1.0])],
            "expected datatype BYTES",
        ),
        (
            [tensor("prediction_id", ["x"], "BYTES"), tensor("value", [True], "BOOL")],
            "expected datatype FP32 or FP64, got BOOL",
        ),
        (
            [
                tensor("prediction_id", ["x", "y"], "BYTES", shape=[1, 2]),
                tensor("value", [1.0, 2.0]),
            ],
            "expected shape [-1], got [1, 2]",
        ),
        (rewards(["x"] * (MAX_REWARDS + 1), [1.0] * (MAX_REWARDS + 1)), "send them in several"),
    ],
)
def test_a_wrong_reward_is_refused_with_the_place_and_nothing_of_its_request_is_kept(
    servers, tensors, told
) -> None:
    assert told in servers.models.refusal(REWARD, *tensors)
    last = str(uuid.uuid4())
    servers.models.outputs(REWARD, *rewards([last], [1.0]))
    assert not {"x", "y"} & {each.prediction_id for each in everything(servers, last)}


def test_thousands_of_rewards_are_one_request(servers) -> None:
    identities = [f"many-{number}" for number in range(MAX_REWARDS)]
    outputs = servers.models.outputs(REWARD, *rewards(identities, [0.5] * MAX_REWARDS))
    assert outputs == {"acknowledged": [MAX_REWARDS]}
    found = [each.prediction_id for each in everything(servers, identities[-1])]
    assert [each for each in found if each.startswith("many-")] == identities


def test_without_kafka_a_reward_is_not_acknowledged_and_the_next_one_is_once_it_is_back(
    servers,
) -> None:
    before = servers.models.count(
        "bellwether_rewards_total", model="reward", outcome="unacknowledged"
    )
    servers.broker.kill()
    try:
        began = time.monotonic()
        answer = servers.models.infer(REWARD, *rewards(["away"], [1.0]))
        taken = time.monotonic() - began
        assert answer.status_code == 503, answer.text
        assert "Kafka took 0 of 1 rewards within 2 s" in answer.json()["error"]
        assert taken < DELIVERY_SECONDS + 2
        assert (
            servers.models.count(
                "bellwether_rewards_total", model="reward", outcome="unacknowledged"
            )
            == before + 1
        )
    finally:
        servers.broker.start()

    def taken_again() -> bool:
        return servers.models.infer(REWARD, *rewards(["back"], [1.0])).status_code == 200

    eventually(taken_again, "rewards are taken again", 60)
    assert any(each.prediction_id == "back" for each in everything(servers, "back"))


def test_a_reward_model_without_kafkas_address_is_refused(servers) -> None:
    answer = servers.models.load("reward_2", "runtimes.bandit.reward.RewardModel")
    assert answer.status_code == 422
    assert "kafka: Field required" in answer.json()["error"]
