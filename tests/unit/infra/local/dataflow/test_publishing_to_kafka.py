"""What a real broker gets of pipelines, and what happens while it is away."""

import contextlib

import confluent_kafka.admin
import pytest

from infra.local.mesh import dataflow
from tests.conformance.environment import eventually
from tests.conformance.open_inference import messages
from tests.unit.infra.local.dataflow import model_server_process
from tests.unit.infra.local.dataflow.broker_process import Broker, Reader
from tests.unit.infra.local.dataflow.model_server_process import document
from tests.unit.infra.local.dataflow.test_pipelines_in_mlserver import CHAIN, NEXT, body, fp32
from tests.unit.infra.local.dataflow.world import pipeline, step

SECOND = pipeline(
    "second",
    step("mul2", "second.inputs"),
    output=("mul2.outputs",),
    input=dataflow.External(
        inputs=("chain2.outputs",), tensor_map={"chain2.outputs.OUTPUT": "INPUT"}
    ),
)
FAILING = pipeline(
    "failing",
    step("mul10", "failing.inputs"),
    step("boom", "mul10.outputs", tensor_map=NEXT),
    output=("boom.outputs",),
)
WIDE = pipeline("wide", step("echo", "wide.inputs"), output=("echo.outputs",))
PIPELINES = (CHAIN, SECOND, FAILING, WIDE)

TOPICS = [
    f"seldon.ns.{name}.{side}"
    for name in (
        *("model.mul10", "model.add10", "model.mul2", "model.boom", "model.echo"),
        *("pipeline.chain2", "pipeline.second", "pipeline.failing", "pipeline.wide"),
    )
    for side in ("inputs", "outputs")
]
ERRORS = "seldon.ns.errors.errors"
LOST = 'bellwether_records_lost_total{client="pipelines",reason="queue_full"}'


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    broker = Broker(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory, broker):
    """Started before its broker, which has to be no obstacle to either."""
    folder = tmp_path_factory.mktemp("server")
    with model_server_process.running(folder, document(*PIPELINES), broker.address) as running:
        assert running.ask("chain2", body()).status_code == 200
        broker.start()
        client = confluent_kafka.admin.AdminClient(
            {"bootstrap.servers": broker.address, "log_level": 0}
        )

        def made():
            with contextlib.suppress(confluent_kafka.KafkaException):
                return {*TOPICS, ERRORS} <= client.list_topics(timeout=1).topics.keys()

        eventually(made, "the topics are made", 60)
        yield running


@pytest.fixture(scope="module")
def reader(server, broker):
    reader = Reader(broker.address, [*TOPICS, ERRORS])
    yield reader
    reader.close()


def headers(record):
    return [(name, value.decode()) for name, value in record.headers()]


def decoded(record):
    kind = "ModelInferRequest" if record.topic().endswith("inputs") else "ModelInferResponse"
    message = messages[kind].FromString(record.value())
    tensors = message.inputs if kind == "ModelInferRequest" else message.outputs
    return message, {each.name: list(each.contents.fp32_contents) for each in tensors}


def test_every_steps_input_and_output_is_published_as_seldon_does(server, reader):
    server.ask("chain2", body(), **{"x-request-id": "k1", "x-lab": "v"})
    # Six of the chain, four of the pipeline that reads from it.
    records = reader.by_topic("k1", 10)
    tensors = {topic: decoded(record)[1] for topic, record in records.items()}
    assert tensors == {
        "seldon.ns.pipeline.chain2.inputs": {"INPUT": [1, 2, 3, 4]},
        "seldon.ns.model.mul10.inputs": {"INPUT": [1, 2, 3, 4]},
        "seldon.ns.model.mul10.outputs": {"OUTPUT": [10, 20, 30, 40]},
        "seldon.ns.model.add10.inputs": {"INPUT": [10, 20, 30, 40]},
        "seldon.ns.model.add10.outputs": {"OUTPUT": [20, 30, 40, 50]},
        "seldon.ns.pipeline.chain2.outputs": {"OUTPUT": [20, 30, 40, 50]},
        "seldon.ns.pipeline.second.inputs": {"INPUT": [20, 30, 40, 50]},
        "seldon.ns.model.mul2.inputs": {"INPUT": [20, 30, 40, 50]},
        "seldon.ns.model.mul2.outputs": {"OUTPUT": [40, 60, 80, 100]},
        "seldon.ns.pipeline.second.outputs": {"OUTPUT": [40, 60, 80, 100]},
    }
    given, _ = decoded(records["seldon.ns.model.mul10.outputs"])
    assert (given.model_name, given.model_version, given.id) == ("mul10_1", "1", "k1")
    (output,) = given.outputs
    assert (output.datatype, list(output.shape)) == ("FP32", [4, 1])
    assert output.parameters["content_type"].string_param == "np"
    answer, _ = decoded(records["seldon.ns.pipeline.chain2.outputs"])
    assert (answer.model_name, answer.id) == ("", "k1")


def test_the_headers_are_the_callers_and_seldons(server, reader):
    server.ask("chain2", body(), **{"x-request-id": "k2", "x-lab": "v", "other": "w"})
    records = reader.by_topic("k2", 10)
    own = [("x-lab", "v"), ("x-request-id", "k2")]
    assert headers(records["seldon.ns.pipeline.chain2.inputs"]) == [*own, ("pipeline", "chain2")]
    chain = [*own, ("pipeline", "chain2"), ("x-pipeline-version", "7")]
    assert headers(records["seldon.ns.model.mul10.inputs"]) == chain
    route = [("x-seldon-route", ":mul10_1:")]
    assert headers(records["seldon.ns.model.mul10.outputs"]) == chain + route
    assert headers(records["seldon.ns.model.add10.inputs"]) == chain + route
    second = headers(records["seldon.ns.model.mul2.inputs"])
    assert ("pipeline", "second") in second
    assert ("pipeline", "chain2") not in second


def test_an_error_is_published_with_the_step_that_it_is_of(server, reader):
    response = server.ask("failing", body(), **{"x-request-id": "k3"})
    records = reader.by_topic("k3", 5)
    error = records[ERRORS]
    assert ("seldon-pipeline-errors", "boom") in headers(error)
    assert ("pipeline", "failing") in headers(error)
    assert f"boom : {error.value().decode()}" == response.text
    assert "seldon.ns.pipeline.failing.outputs" not in records


def test_topics_of_a_new_document_are_made(server, broker):
    later = pipeline("later", step("mul2", "later.inputs"), output=("mul2.outputs",))
    client = confluent_kafka.admin.AdminClient(
        {"bootstrap.servers": broker.address, "log_level": 0}
    )
    try:
        server.act_on(*PIPELINES, later)
        eventually(
            lambda: "seldon.ns.pipeline.later.outputs" in client.list_topics(timeout=5).topics,
            "the topic is made",
        )
    finally:
        server.act_on(*PIPELINES)


def test_what_is_too_large_for_the_broker_is_counted_and_keeps_nothing_else_back(server, reader):
    too_large = 'bellwether_records_lost_total{client="pipelines",reason="MSG_SIZE_TOO_LARGE"}'
    rows = 130_000  # of eight bytes
    given = {"name": "INPUT", "shape": [rows], "datatype": "FP64", "data": [1] * rows}
    assert server.ask("wide", body(given)).status_code == 200
    server.ask("chain2", body(), **{"x-request-id": "k4"})
    reader.by_topic("k4", 10)
    assert server.metric(too_large) == 4


def test_without_a_broker_requests_are_answered_losses_counted_and_publishing_recovers(
    server, broker, reader
):
    broker.kill()
    # About half a megabyte of records a request; Kafka's client keeps 64.
    large = body(fp32(*[1] * 30_000))
    asked = 0
    while server.metric(LOST) == 0 and asked < 400:
        response = server.ask("wide", large, **{"x-request-id": f"lost-{asked}"})
        assert response.status_code == 200
        asked += 1
    assert server.metric(LOST) > 0
    assert server.ask("chain2", body()).status_code == 200
    broker.start()

    def published():
        server.ask("chain2", body(), **{"x-request-id": "back"})
        before = server.metric(LOST)
        server.ask("chain2", body())
        return server.metric(LOST) == before

    eventually(published, "there is room again", 60)
    server.ask("chain2", body(), **{"x-request-id": "recovered"})
    assert len(reader.by_topic("recovered", 10, 90)) == 10
