"""What the bandit is told through the real gateway: decisions by the arms, rewards by the caller."""

import uuid

import confluent_kafka
import httpx

from bellwether import predict
from runtimes.contract import bandits
from tests.conformance.environment import eventually

SYMBOL = "SPX"
ASKED = 40


class _Topics:
    """Reads the newest records of both topics."""

    def __init__(self, bootstrap):
        self._consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": bootstrap, "group.id": str(uuid.uuid4()), "log_level": 0}
        )
        places = [
            confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)
            for topic in (bandits.DECISIONS, bandits.REWARDS)
        ]
        self._consumer.assign(places)
        self.decisions: dict[str, bandits.Decision] = {}
        self.rewards: dict[str, bandits.Reward] = {}

    def has(self, decided, rewarded):
        for message in self._consumer.consume(500, 0.2):
            if message.error() is None and message.topic() == bandits.DECISIONS:
                decision = bandits.Decision.decode(message.value())
                self.decisions[decision.id] = decision
            elif message.error() is None:
                reward = bandits.Reward.decode(message.value())
                self.rewards[reward.prediction_id] = reward
        return decided <= self.decisions.keys() and rewarded <= self.rewards.keys()

    def close(self):
        self._consumer.close()


def test_each_answer_of_the_experiment_is_a_decision_that_a_reward_can_name(up):
    where, wanted = up.endpoints(), up.settings()
    body = predict.inference_request(predict.newest(up, SYMBOL, None))
    named = {"seldon-model": f"{predict.EXPERIMENT}.experiment"}
    with httpx.Client(base_url=where.gateway, timeout=30) as gateway:
        answers = [
            gateway.post("/v2/models/any/infer", json=body, headers=named) for _ in range(ASKED)
        ]
        assert {each.status_code for each in answers} == {200}
        arms = {
            each.headers["x-request-id"]: each.headers["x-seldon-route"]
            .strip(":")
            .rpartition("_")[0]
            for each in answers
        }
        route = answers[0].headers["x-seldon-route"]
        pinned = gateway.post(
            "/v2/models/any/infer", json=body, headers={**named, "x-seldon-route": route}
        )
        alone = gateway.post("/v2/models/baseline-predictor/infer", json=body)
        identities = list(arms)
        inputs = [
            {
                "name": "prediction_id",
                "shape": [ASKED],
                "datatype": "BYTES",
                "data": identities,
            },
            {"name": "value", "shape": [ASKED], "datatype": "FP64", "data": [0.25] * ASKED},
        ]
        taken = gateway.post("/v2/models/reward/infer", json={"inputs": inputs})
        assert taken.status_code == 200, taken.text
        assert taken.json()["outputs"][0]["data"] == [ASKED]
    topics = _Topics(f"127.0.0.1:{wanted.ports.kafka}")
    try:
        eventually(lambda: topics.has(arms.keys(), arms.keys()), "the records are there", 30)
    finally:
        topics.close()
    assert {name: topics.decisions[name].arm for name in arms} == arms
    decided = [topics.decisions[name] for name in arms]
    assert {each.experiment for each in decided} == {predict.EXPERIMENT}
    assert {tuple(sorted(each.context or ())) for each in decided} == {("trend", "volatility")}
    assert {topics.rewards[name].value for name in arms} == {0.25}
    for answer in (pinned, alone):
        assert answer.headers["x-request-id"] not in topics.decisions
