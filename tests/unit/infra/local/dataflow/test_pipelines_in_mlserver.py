"""Pipelines in the real model server, over REST and gRPC, as the gateway asks for them."""

import concurrent.futures
import gzip
import json
import math
import struct

import pytest

from infra.local.mesh import dataflow
from tests.conformance.environment import eventually
from tests.conformance.open_inference import messages
from tests.unit.infra.local.dataflow import model_server_process
from tests.unit.infra.local.dataflow.model_server_process import MAX_REQUEST_BYTES, document
from tests.unit.infra.local.dataflow.world import pipeline, step

NEXT = {"mul10.outputs.OUTPUT": "INPUT"}
CHAIN = pipeline(
    "chain2",
    step("mul10", "chain2.inputs"),
    step("add10", "mul10.outputs", tensor_map=NEXT),
    output=("add10.outputs",),
    version=7,
)
NOMAP = pipeline(
    "nomap",
    step("mul10", "nomap.inputs"),
    step("add10", "mul10.outputs"),
    output=("add10.outputs",),
)
COND = pipeline(
    "cond",
    step("branching", "cond.inputs"),
    step("mul10", "branching.outputs.OUTPUT0", tensor_map={"branching.outputs.OUTPUT0": "INPUT"}),
    step("add10", "branching.outputs.OUTPUT1", tensor_map={"branching.outputs.OUTPUT1": "INPUT"}),
    output=("mul10.outputs", "add10.outputs"),
    steps_join="any",
)
PIPELINES = (
    CHAIN,
    NOMAP,
    COND,
    pipeline("err", step("boom", "err.inputs"), output=("boom.outputs",)),
    pipeline("refused", step("bad", "refused.inputs"), output=("bad.outputs",)),
    pipeline("echoes", step("echo", "echoes.inputs"), output=("echo.outputs",)),
    pipeline("odd", step("strange", "odd.inputs"), output=("strange.outputs",)),
    pipeline("ghostp", step("ghost", "ghostp.inputs"), output=("ghost.outputs",)),
    pipeline("slow", step("held", "slow.inputs"), output=("held.outputs",)),
    pipeline("batched", step("add10", "batched.inputs", batch_size=8), output=("add10.outputs",)),
)


def fp32(*values, name="INPUT"):
    return {"name": name, "shape": [len(values)], "datatype": "FP32", "data": list(values)}


def body(*tensors, **more):
    return {"id": "r1", "inputs": list(tensors or [fp32(1, 2, 3, 4)]), **more}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    given = document(*PIPELINES, missing=("ghost",))
    with model_server_process.running(tmp_path_factory.mktemp("server"), given) as running:
        yield running


def routes(response):
    return [value for name, value in response.headers.multi_items() if name == "x-seldon-route"]


def test_a_chain_answers_as_recorded(server):
    response = server.ask("chain2", body())
    assert response.status_code == 200
    assert response.json() == {
        "model_name": "",
        "outputs": [
            {
                "name": "OUTPUT",
                "shape": [4, 1],
                "datatype": "FP32",
                "data": [20, 30, 40, 50],
                "parameters": {"content_type": "np"},
            }
        ],
    }
    assert routes(response) == [":mul10_1:", ":add10_1:"]
    assert response.headers["x-pipeline-version"] == "7"
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/x/infer",
        "/v2/models/chain2/infer",
        "/v2/models/chain2.pipeline/infer",
        "/v2/models/e1.experiment/infer",
        "/v2/models/chain2/versions/1/infer",
        "/v2/pipelines/chain2/infer",
        "/v2/pipelines/chain2.pipeline/infer",
    ],
)
def test_the_gateways_pipeline_answers_whatever_the_path_says(server, path):
    headers = {"seldon-internal-model": "chain2.pipeline"}
    response = server.http.post(path, json=body(), headers=headers)
    assert response.json()["outputs"][0]["data"] == [20, 30, 40, 50]


def test_the_callers_own_headers_come_back_and_reach_the_models(server):
    response = server.ask(
        "echoes",
        body(),
        **{
            "x-request-id": "mine",
            "X-Lab": "v",
            "other": "w",
            "x-forwarded-for": "1.2.3.4",
            "x-envoy-attempt-count": "1",
            "x-seldon-route": ":echoes.pipeline:",
        },
    )
    assert response.headers["x-lab"] == "v"
    assert not {"other", "x-forwarded-for", "x-envoy-attempt-count"} & set(response.headers)
    assert routes(response) == [":echo_1:"]
    seen = next(each for each in response.json()["outputs"] if each["name"] == "seen")
    assert seen["data"] == ["mine", "mine", "v"], "the request's id is every step's id"


def test_headers_that_a_model_adds_come_along(server):
    response = server.ask("echoes", body())
    assert response.headers["x-made-by"] == "echo_1"
    assert not {name for name in response.headers if name.startswith("ce-")}


@pytest.mark.parametrize(
    ("name", "given", "text", "ran"),
    [
        (
            "chain2",
            body(fp32(1, name="WRONG")),
            (
                "mul10 : rpc error: code = InvalidArgument desc = mlserver.errors.InferenceError: "
                "tensor INPUT missing, got ['WRONG']"
            ),
            [],
        ),
        (
            "nomap",
            body(),
            (
                "add10 : rpc error: code = InvalidArgument desc = mlserver.errors.InferenceError: "
                "tensor INPUT missing, got ['OUTPUT']"
            ),
            [":mul10_1:"],
        ),
    ],
)
def test_a_models_refusal_is_told_as_recorded(server, name, given, text, ran):
    response = server.ask(name, given)
    assert (response.status_code, response.text) == (400, text)
    assert response.headers["content-type"].startswith("text/plain")
    assert routes(response) == ran


def test_a_models_error_is_told_as_recorded_and_not_repeated(server):
    calls = []
    for _ in range(2):
        response = server.ask("err", body())
        assert response.status_code == 400
        start = "boom : rpc error: code = Internal desc = builtins.ValueError: boom: calls="
        assert response.text.startswith(start)
        calls.append(int(response.text.removeprefix(start)))
    assert calls[1] == calls[0] + 1


@pytest.mark.parametrize(("choice", "answer"), [(0, 30), (1, 13)])
def test_a_router_chooses(server, choice, answer):
    given = {"name": "CHOICE", "shape": [1], "datatype": "INT32", "data": [choice]}
    response = server.ask("cond", body(given, fp32(3)))
    assert response.json()["outputs"][0]["data"] == [answer]


def test_a_router_that_chooses_nothing_is_told_at_once(server):
    given = {"name": "CHOICE", "shape": [1], "datatype": "INT32", "data": [2]}
    response = server.ask("cond", body(given, fp32(3)))
    assert response.status_code == 400
    assert "mul10 did not run: branching.outputs has no tensor OUTPUT0" in response.text
    assert routes(response) == [":branching_1:"]


def test_a_missing_model_is_unavailable(server):
    response = server.ask("ghostp", body())
    assert response.status_code == 503
    assert "model ghost is not loaded" in response.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b'{"inputs":[', "not valid JSON"),
        (b"", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b'"text"', "no inference request"),
        (b'{"id":"q"}', "inputs: Field required"),
        (b'{"inputs":{}}', "inputs: Input should be a valid list"),
        (body(fp32(1) | {"datatype": "FLOAT"}), "inputs.0.datatype"),
        (body(fp32(1) | {"data": ["x"]}), "tensor 'INPUT': 'x' is no value of datatype FP32"),
        (body(fp32(1) | {"data": [True]}), "True is no value of datatype FP32"),
        (body(fp32(1) | {"data": 1}), "`data` has to be a list, got 1"),
        (body(fp32(1) | {"shape": [5]}), "shape [5] takes 5 values, got 1"),
        (body(fp32(1) | {"shape": [-1]}), "shape [-1] has a negative size"),
        (body(fp32(1) | {"shape": [1, 10**9]}), "takes 1000000000 values, got 1"),
        (body(fp32(1) | {"data": [[1, 2], [3]]}), "takes 1 values, got 3"),
        (body(fp32(1) | {"data": [[1], 2], "shape": [2]}), "`data` nests unevenly"),
        (body(fp32(1) | {"data": [1, [2]], "shape": [2]}), "[2] is no value of datatype FP32"),
        (body(fp32(1) | {"datatype": "INT8", "data": [300]}), "300 is no value of datatype INT8"),
        (body(fp32(1) | {"datatype": "INT32", "data": [1.5]}), "1.5 is no value of datatype INT32"),
        (body(fp32(1) | {"datatype": "UINT8", "data": [-1]}), "-1 is no value of datatype UINT8"),
        (body(fp32(1) | {"datatype": "BOOL", "data": [1]}), "1 is no value of datatype BOOL"),
        (body(fp32(1) | {"datatype": "BYTES", "data": [1]}), "1 is no value of datatype BYTES"),
    ],
)
def test_a_malformed_request_says_what_and_where(server, given, said):
    response = server.ask("chain2", given)
    assert response.status_code == 400
    assert said in response.json()["error"]


def test_a_request_without_tensors_is_refused_at_once(server):
    response = server.ask("chain2", {"inputs": []})
    assert (response.status_code, response.text) == (
        400,
        "pipeline chain2: the request has no tensors: add them to `inputs`",
    )


@pytest.mark.parametrize(
    ("datatype", "data", "shape"),
    [
        ("FP64", [1.5, None], [2]),
        ("FP32", [[1, 2], [3, 4]], [2, 2]),
        ("INT64", [2**63 - 1, 3.0], [2]),
        ("UINT64", [2**64 - 1], [1]),
        ("BOOL", [True, False], [2]),
        ("BYTES", ["ü", ""], [2, 1]),
        ("FP16", [0.5], [1]),
        ("FP64", [], [0]),
    ],
)
def test_what_is_in_order_reaches_the_model_whole(server, datatype, data, shape):
    given = {"name": "T", "shape": shape, "datatype": datatype, "data": data}
    given["parameters"] = {"content_type": "np", "mine": 1}
    response = server.ask("echoes", body(given))
    echoed = response.json()["outputs"][0]
    flat = [x for row in data for x in row] if data and isinstance(data[0], list) else data
    assert echoed == given | {"data": flat}


def test_bodies_are_bounded_compressed_or_not(server):
    assert server.ask("chain2", b" " * (MAX_REQUEST_BYTES + 1)).status_code == 413
    packed = gzip.compress(json.dumps(body()).encode())
    response = server.ask("chain2", packed, **{"content-encoding": "gzip"})
    assert response.json()["outputs"][0]["data"] == [20, 30, 40, 50]
    bomb = gzip.compress(b" " * (MAX_REQUEST_BYTES + 1))
    assert server.ask("chain2", bomb, **{"content-encoding": "gzip"}).status_code == 413


def test_what_json_has_no_way_for_is_answered_all_the_same(server):
    outputs = server.ask("odd", body()).json()["outputs"]
    assert outputs[0] == {
        "name": "bytes",
        "shape": [2],
        "datatype": "BYTES",
        "data": ["/wA=", "YQ=="],
        "parameters": {"content_type": "base64"},
    }
    assert outputs[1]["data"] == [None, 1.0]


def test_rows_of_several_callers_share_a_call(server):
    before = server.metric('model_infer_request_success_total{model="add10_1"')
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(server.ask, "batched", body(fp32(n))) for n in range(8)]
        answers = [each.result().json()["outputs"][0] for each in asked]
    assert [(each["data"], each["shape"]) for each in answers] == [
        ([n + 10], [1, 1]) for n in range(8)
    ]
    calls = server.metric('model_infer_request_success_total{model="add10_1"') - before
    assert calls < 8


def test_readiness_and_metadata_are_told(server):
    def get(path, name):
        return server.http.get(path, headers={"seldon-internal-model": f"{name}.pipeline"})

    assert get("/v2/models/x/ready", "chain2").json() == {"ready": True}
    assert get("/v2/pipelines/chain2/ready", "chain2").status_code == 200
    ghost = get("/v2/pipelines/ghostp/ready", "ghostp")
    assert ghost.status_code == 503
    assert ghost.json()["error"] == "pipeline ghostp: model ghost is not loaded"
    assert get("/v2/pipelines/nosuch/ready", "nosuch").status_code == 503
    described = get("/v2/models/chain2", "chain2").json()
    assert (described["name"], described["versions"], described["platform"]) == (
        "chain2",
        ["7"],
        "pipeline",
    )
    assert described["steps"][1] == {
        "name": "add10",
        "versions": ["add10_1"],
        "inputs": ["mul10.outputs"],
        "triggers": [],
    }
    assert get("/v2/models/chain2/infer", "chain2").status_code == 405
    assert get("/v2/models/chain2/other", "chain2").status_code == 404
    assert get("/v2/health/ready", "chain2").status_code == 200


@pytest.mark.parametrize("path", [dataflow.RELOAD_PATH, f"{dataflow.DRAIN_PATH}/mul10_1"])
@pytest.mark.parametrize("name", ["mul10_1", "chain2.pipeline"])
def test_the_meshs_own_paths_are_not_reachable_through_the_gateway(server, path, name):
    response = server.http.post(path, headers={"seldon-internal-model": name})
    assert response.status_code == 404


def test_what_a_new_document_says_holds_once_the_reload_is_answered(server):
    only = pipeline("other", step("mul2", "other.inputs"), output=("mul2.outputs",))
    try:
        assert server.act_on(*PIPELINES, only).status_code == 200
        assert server.ask("other", body(fp32(4))).json()["outputs"][0]["data"] == [8]
        assert server.act_on(CHAIN, mul10=("mul2_1",)).json() == {"pipelines": ["chain2"]}
        assert server.ask("other", body()).status_code == 503
        response = server.ask("chain2", body())
        assert routes(response) == [":mul2_1:", ":add10_1:"]
    finally:
        server.act_on(*PIPELINES)


def test_a_document_that_cannot_be_used_leaves_the_one_before(server):
    path = dataflow.path_of(server.repository)
    good = path.read_text()
    try:
        for wrong in ("{", '{"pipelines": [{"name": "p"}]}', '{"unknown": 1}'):
            path.write_text(wrong)
            response = server.http.post(dataflow.RELOAD_PATH)
            assert response.status_code == 422
            assert str(path) in response.json()["error"]
        assert server.ask("chain2", body()).status_code == 200
    finally:
        path.write_text(good)


def test_a_version_is_drained_once_no_call_can_come_to_it(server):
    def held(name):
        return server.ask("slow", body(fp32(1, name=name))).json()["outputs"][0]["data"]

    def drain(seconds):
        return server.http.post(f"{dataflow.DRAIN_PATH}/held_1", params={"timeout": seconds})

    assert drain(30).json() == {"calls": 0}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = pool.submit(held, "INPUT")
        eventually(lambda: held("WAITING") == [1], "the call is at the model")
        assert server.act_on(CHAIN).status_code == 200
        try:
            late = drain(0.05)
            assert late.status_code == 504
            assert late.json()["calls"] == 1
            drained = pool.submit(drain, 30)
            direct = body(fp32(1, name="GO"))
            server.http.post("/v2/models/held_1/infer", json=direct).raise_for_status()
            assert drained.result().json() == {"calls": 0}
            assert running.result() == [2], "it ended as it began"
        finally:
            server.act_on(*PIPELINES)


def test_calls_and_steps_are_counted(server):
    count = 'seldon_pipeline_infer_total{code="200",method_type="rest",pipeline="chain2"'
    seconds = 'seldon_pipeline_infer_seconds_total{code="200",method_type="rest",pipeline="chain2"'
    latency = 'seldon_pipeline_infer_api_seconds_count{code="200",method="rest",pipeline="chain2"'
    steps = 'bellwether_pipeline_step_seconds_count{pipeline="chain2",step="mul10"'
    names = (count, seconds, latency, steps)
    before = [server.metric(name) for name in names]
    server.ask("chain2", body())
    after = [server.metric(name) for name in names]
    grown = [late - early for early, late in zip(before, after, strict=True)]
    assert (grown[0], grown[2], grown[3]) == (1, 1, 1)
    assert 0 < grown[1] < 5
    refused = 'seldon_pipeline_infer_total{code="400",method_type="rest",pipeline="chain2"'
    was = server.metric(refused)
    server.ask("chain2", b"{")
    assert server.metric(refused) == was + 1


def test_names_that_nobody_declared_make_no_metrics(server):
    server.ask("made-up", body())
    assert "made-up" not in server.scrape()


GATEWAY = (("seldon-internal-model", "chain2.pipeline"), ("x-request-id", "mine"), ("x-lab", "v"))


def to(name):
    return (("seldon-internal-model", f"{name}.pipeline"),)


def test_grpc_answers_a_pipeline_and_keeps_the_id(server):
    response, before, after = server.grpc.infer(1, 2, metadata=GATEWAY)
    assert list(response.outputs[0].contents.fp32_contents) == [20, 30]
    assert (response.model_name, response.id) == ("", "g1")
    assert before["x-pipeline-version"] == "7"
    assert before["x-lab"] == "v"
    assert before["x-seldon-route"] == ":add10_1:", "the last of two lines"
    assert after["x-request-id"] == "mine"


def test_grpc_tells_a_step_that_failed(server):
    answer = server.grpc.answer(messages["ModelInferRequest"](id="g1"), to("chain2"))
    assert answer.code == "INVALID_ARGUMENT"
    assert "the request has no tensors" in answer.message
    request = server.grpc._request((1.0,), tensor="WRONG")
    answer = server.grpc.answer(request, GATEWAY)
    assert (answer.code, answer.message) == (
        "UNKNOWN",
        (
            "mul10 : rpc error: code = InvalidArgument desc = mlserver.errors.InferenceError: "
            "tensor INPUT missing, got ['WRONG']"
        ),
    )
    answer = server.grpc.answer(server.grpc._request((1.0,)), to("ghostp"))
    assert answer.code == "UNAVAILABLE"
    answer = server.grpc.answer(server.grpc._request((1.0,)), to("nosuch"))
    assert (answer.code, answer.message) == (
        "UNAVAILABLE",
        "pipeline nosuch is not served here",
    )


def test_grpc_takes_and_gives_raw_contents(server):
    raw = struct.pack("<3f", 1, 2, 3)
    response, _, _ = server.grpc.infer(raw=raw, metadata=GATEWAY)
    assert struct.unpack("<3f", response.raw_output_contents[0]) == (20, 30, 40)
    request = server.grpc._request((1.0,))
    request.inputs[0].ClearField("contents")
    request.raw_input_contents.append(b"abc")
    assert server.grpc.answer(request, GATEWAY).code == "INVALID_ARGUMENT"


def test_grpc_refuses_a_shape_that_does_not_fit(server):
    request = server.grpc._request((1.0,))
    request.inputs[0].shape[:] = [5]
    answer = server.grpc.answer(request, GATEWAY)
    assert answer.code == "INVALID_ARGUMENT"
    assert "shape [5] takes 5 values, got 1" in answer.message


def test_grpc_writes_what_is_no_number_as_nan(server):
    response, _, _ = server.grpc.infer(1.0, metadata=to("odd"))
    values = list(response.outputs[1].contents.fp64_contents)
    assert math.isnan(values[0])
    assert values[1] == 1.0


def test_grpc_tells_readiness_and_metadata(server):
    ready = messages["ModelReadyRequest"](name="x")
    assert server.grpc.call("ModelReady", ready, to("chain2"))[0].ready
    assert not server.grpc.call("ModelReady", ready, to("ghostp"))[0].ready
    described, _, _ = server.grpc.call(
        "ModelMetadata", messages["ModelMetadataRequest"](name="x"), to("chain2")
    )
    assert (described.name, described.platform) == ("chain2", "pipeline")
