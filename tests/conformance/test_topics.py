"""What a pipeline does can be read from Kafka, under Seldon's topic names.

Needs to know where: `--kafka HOST:PORT`.
"""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import confluent_kafka
import pytest

from tests.conformance import open_inference
from tests.conformance.environment import eventually
from tests.conformance.worlds import World, tensors

pytestmark = pytest.mark.stack

_READ_SECONDS = 30


class _Topics:
    """Reads what comes to topics after it was begun."""

    def __init__(self, bootstrap: str, namespace: str) -> None:
        self._prefix = f"seldon.{namespace}."
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"conformance-{uuid.uuid4()}",
                "enable.auto.commit": False,
            }
        )

    def close(self) -> None:
        self._consumer.close()

    def follow(self, *names: str) -> None:
        """Read topics from the start of this test's world: everything that is there, and comes."""
        assigned = []
        for name in names:
            topic = self._prefix + name

            def partitions(topic: str = topic) -> dict[int, Any] | None:
                listed = self._consumer.list_topics(topic, timeout=10).topics[topic]
                return None if listed.error else listed.partitions or None

            assigned += [
                confluent_kafka.TopicPartition(topic, each, confluent_kafka.OFFSET_BEGINNING)
                for each in eventually(partitions, f"{topic} is there", _READ_SECONDS, pause=0.2)
            ]
        self._consumer.assign(assigned)

    def of(self, request_id: str, count: int) -> dict[str, Any]:
        """Read the messages of one request, by topic, until there are so many."""
        found: dict[str, Any] = {}
        deadline = time.monotonic() + _READ_SECONDS
        while len(found) < count:
            assert time.monotonic() < deadline, f"only {sorted(found)} of {request_id}"
            message = self._consumer.poll(0.5)
            if message is None or message.error():
                continue
            if request_id in (message.key() or b"").decode():
                found[message.topic().removeprefix(self._prefix)] = message
        return found


@pytest.fixture
def topics(world: World) -> Iterator[_Topics]:
    environment = world.environment
    if environment.kafka is None:
        pytest.skip("messages are read from Kafka: say where it is, with --kafka HOST:PORT")
    read = _Topics(environment.kafka, environment.namespace)
    yield read
    read.close()


def _values(kind: str, message: Any) -> list[tuple[str, list[float]]]:
    """Read the FP32 tensors of a message, written out or raw."""
    parsed = open_inference.messages[f"ModelInfer{kind}"].FromString(message.value())
    side = "inputs" if kind == "Request" else "outputs"
    raw = getattr(parsed, f"raw_{side[:-1]}_contents")
    found = []
    for at, each in enumerate(getattr(parsed, side)):
        values = list(memoryview(raw[at]).cast("f")) if raw else list(each.contents.fp32_contents)
        found.append((each.name, values))
    return found


def test_every_steps_and_the_pipelines_messages_are_published(
    world: World, topics: _Topics
) -> None:
    world.serve("mul10", "add10")
    second = {
        "name": "add10",
        "inputs": ["mul10"],
        "tensorMap": {"mul10.outputs.OUTPUT": "INPUT"},
    }
    world.pipeline("chain", ["mul10", second], "add10")
    request_id = f"conformance-{uuid.uuid4()}"
    asked = world.ask("chain", {"INPUT": [1.0, 2.0]}, x_request_id=request_id, x_lab="v")
    assert tensors(asked) == [("OUTPUT", [20, 30])]
    wanted = {
        "pipeline.chain.inputs": ("Request", [("INPUT", [1, 2])]),
        "model.mul10.inputs": ("Request", [("INPUT", [1, 2])]),
        "model.mul10.outputs": ("Response", [("OUTPUT", [10, 20])]),
        "model.add10.inputs": ("Request", [("INPUT", [10, 20])]),
        "model.add10.outputs": ("Response", [("OUTPUT", [20, 30])]),
        "pipeline.chain.outputs": ("Response", [("OUTPUT", [20, 30])]),
    }
    topics.follow(*wanted)
    found = topics.of(request_id, len(wanted))
    for topic, (kind, values) in wanted.items():
        assert _values(kind, found[topic]) == values, topic
        headers = dict(found[topic].headers() or ())
        assert headers["pipeline"] == b"chain", topic
        assert headers["x-lab"] == b"v", topic


def test_a_steps_error_is_published(world: World, topics: _Topics) -> None:
    world.serve("bad")
    world.pipeline("wrong", ["bad"], "bad")
    request_id = f"conformance-{uuid.uuid4()}"
    assert world.ask("wrong", {"INPUT": [1.0]}, x_request_id=request_id).status_code == 400
    topics.follow("errors.errors")
    (message,) = topics.of(request_id, 1).values()
    assert b"bad input" in message.value()


def test_a_pipeline_that_another_one_feeds_is_published_too(world: World, topics: _Topics) -> None:
    world.serve("mul10", "add10")
    world.pipeline("first", ["mul10"], "mul10")
    fed = {"externalInputs": ["first.outputs"], "tensorMap": {"first.outputs.OUTPUT": "INPUT"}}
    world.pipeline("second", ["add10"], "add10", input=fed)
    request_id = f"conformance-{uuid.uuid4()}"
    world.ask("first", {"INPUT": [2.0]}, x_request_id=request_id)
    topics.follow("pipeline.second.inputs", "pipeline.second.outputs")
    found = topics.of(request_id, 2)
    assert _values("Request", found["pipeline.second.inputs"]) == [("INPUT", [20])]
    assert _values("Response", found["pipeline.second.outputs"]) == [("OUTPUT", [30])]
