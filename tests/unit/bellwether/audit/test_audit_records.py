"""What is found of a prediction on a real broker, among others' records."""

import dataclasses
import json
import pathlib

import confluent_kafka
import confluent_kafka.admin
import pytest

from bellwether.audit import cards, dossier, gathering, page, records
from runtimes.contract import inference
from tests.conformance.environment import eventually
from tests.unit.bellwether.audit.prediction_records import (
    ANSWER,
    ID,
    PIPELINE,
    infer,
    pipeline_records,
)
from tests.unit.infra.local.dataflow.broker_process import Broker

NAMESPACE = "bellwether"
ERRORS = inference.errors(NAMESPACE)
ANSWERS = inference.topic(NAMESPACE, "pipeline", PIPELINE, "outputs")
OTHERS = 5000
"""Predictions that came after the one that is looked for: more than are looked at first."""
NOW = 1_700_000_000_000


@dataclasses.dataclass
class World:
    """A broker with records, and a reader of them."""

    address: str
    producer: confluent_kafka.Producer
    reader: records.Reader
    artifacts: pathlib.Path

    def put(
        self, topic: str, value: bytes, key: str, at: int, *, partition: int = 0, **headers: str
    ):
        self.producer.produce(
            topic, value, key, partition=partition, timestamp=at, headers=dict(headers)
        )
        self.producer.poll(0)

    def gather(self, identity: str) -> dossier.Dossier:
        return gathering.gather(self.reader, identity, NAMESPACE, cards.local(self.artifacts))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    broker = Broker(tmp_path_factory.mktemp("kafka"))
    broker.start()
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": broker.address, "log_level": 0})
    try:
        eventually(lambda: _answers(admin), "the broker answers", 120)
        names = {each.topic for each in pipeline_records()}
        names |= {ERRORS, "decisions", "allocations", "monitoring"}
        asked = [
            confluent_kafka.admin.NewTopic(
                name, 2 if name == ANSWERS else 1, 1, config={"retention.ms": "-1"}
            )
            for name in names
        ]
        for made in admin.create_topics(asked).values():
            made.result(60)
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": broker.address, "queue.buffering.max.messages": 200_000}
        )
        reader = records.Reader(broker.address)
        found = World(broker.address, producer, reader, tmp_path_factory.mktemp("artifacts"))
        _fill(found)
        yield found
        reader.close()
    finally:
        broker.kill()


def _answers(admin) -> bool:
    try:
        return bool(admin.list_topics(timeout=2).brokers)
    except confluent_kafka.KafkaException:
        return False


def _fill(world: World) -> None:
    for each in pipeline_records():
        world.put(each.topic, each.value, each.key, each.time, partition=0)
    # Later than any step of it: neither is a part of the prediction.
    late = {"kind": "ended", "score": 0.1, "time": "later"}
    world.put(dossier.DRIFT, json.dumps(late).encode(), "SPX", NOW + 60_000)
    for number in range(OTHERS):
        other = f"other-{number}"
        world.put(ANSWERS, infer({"symbol": ("BYTES", ["WTI"])}), other, NOW + 7, partition=1)
        document = {"id": other, "symbol": "SPX", "features": {}}
        world.put(dossier.ENRICHED, json.dumps(document).encode(), "SPX", NOW + 7)
    quoting = {"id": "other", "symbol": "SPX", "note": ID}
    world.put(dossier.ENRICHED, json.dumps(quoting).encode(), "SPX", NOW + 8)
    world.put(
        ERRORS, b"no such symbol", "failed", NOW, **{"seldon-pipeline-errors": "enrichment_1"}
    )
    decision = {"id": "arm-1", "experiment": "split", "arm": "a", "context": None}
    world.put("decisions", json.dumps(decision).encode(), "arm-1", NOW + 500)
    for at, weight, applied in ((100, 10, True), (200, 20, False), (900, 30, True)):
        epoch = {"experiment": "split", "weights": {"a": weight, "b": 90}, "applied": applied}
        world.put("allocations", json.dumps(epoch).encode(), "split", NOW + at)
    world.put("rewards", json.dumps({"value": 1.0}).encode(), "never-asked", NOW)
    for told in (1, 2):
        world.put("monitoring", json.dumps({"percentile": told}).encode(), ID, NOW + told)
    assert world.producer.flush(60) == 0


def test_every_record_of_a_prediction_is_found_and_no_other(world):
    found = world.gather(ID)
    wanted = sorted((each.topic, each.time, each.key) for each in pipeline_records())
    wanted = sorted([*wanted, ("monitoring", NOW + 1, ID)])
    assert sorted((each.topic, each.time, each.key) for each in found.entries) == wanted
    assert found.kind == "pipeline"
    assert found.name == PIPELINE
    assert found.pipeline("outputs")["prediction"].data == tuple(ANSWER["prediction"][1])


def test_a_second_look_gives_the_same_bytes(world):
    assert page.render(world.gather(ID)) == page.render(world.gather(ID))


def test_a_model_whose_artifact_is_away_is_named_without_a_card(world):
    card = world.gather(ID).card
    assert card is not None
    assert card.model == "conservative-predictor"
    assert "not among those of this machine" in str(card.problem)


def test_an_arms_decision_comes_with_the_weights_that_acted_then(world):
    found = world.gather("arm-1")
    assert found.kind == "experiment"
    assert found.document("allocations")["weights"] == {"a": 10, "b": 90}
    assert "10.0%" in page.render(found)


def test_a_failure_is_found_with_the_step_that_failed(world):
    found = world.gather("failed")
    assert found.kind == "failed"
    assert "enrichment_1: no such symbol" in page.render(found)


def test_an_unknown_id_is_told_apart_from_one_that_has_a_reward_alone(world):
    with pytest.raises(dossier.AuditError, match=r"nothing is recorded of a prediction 'none'\."):
        world.gather("none")
    with pytest.raises(dossier.AuditError, match="except a reward"):
        world.gather("never-asked")


def test_a_broker_that_is_away_is_named():
    reader = records.Reader("127.0.0.1:1", seconds=0.5)
    try:
        with pytest.raises(records.AwayError, match=r"127\.0\.0\.1:1"):
            reader.topics()
    finally:
        reader.close()
