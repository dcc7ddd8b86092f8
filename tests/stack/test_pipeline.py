"""The prediction pipeline as a caller sees it: answers, explanations, records, bad input."""

import hashlib
import json
import math
import pathlib
import shutil
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bellwether import environment as environments
from infra import seldon
from infra.catalogue import pipelines
from models import requests, sources
from runtimes import contract
from tests.conformance import apply, open_inference
from tests.conformance.environment import Environment, eventually
from tests.stack import forecasts

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

SYMBOLS = requests.symbols(sources.Source(None))
TOLERANCE = 1e-6


@pytest.fixture
def gateway(up: environments.Stack) -> Iterator[forecasts.Gateway]:
    with forecasts.Gateway(up) as own:
        yield own


def branch_steps(answer: forecasts.Answer) -> list[str]:
    """The lines of a route of which a branch of the router is one."""
    return [each.format(branch=answer.model[0]) for each in forecasts.STEPS]


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_symbol_is_answered_with_all_outputs_by_steps_that_ran_in_order(
    gateway: forecasts.Gateway, symbol: str
) -> None:
    answer = gateway.ask(symbol)
    assert answer.status == 200, answer.text
    assert tuple(answer.outputs) == contract.DECISION_OUTPUTS
    assert answer.outputs[contract.PREDICTION_ID] == [answer.id]
    assert answer.outputs[contract.SYMBOL] == [symbol]
    *steps, last = answer.route
    assert [each.rpartition("_")[0] for each in steps] == branch_steps(answer)
    assert last == "financial-prediction-pipeline.pipeline"
    lower, upper = answer.outputs[contract.INTERVAL]
    assert 0 < lower < answer.outputs[contract.PREDICTION][0] < upper
    for share in (contract.CONFIDENCE, contract.DIRECTION, contract.ANOMALY_SCORE):
        assert 0 < answer.outputs[share][0] < 1
    assert answer.quality == 1.0


def typed(symbol: str) -> Any:
    """A gRPC request of a symbol."""
    request = open_inference.messages["ModelInferRequest"](model_name="x", id="g1")
    request.inputs.add(name=contract.SYMBOL, datatype="BYTES", shape=[1])
    request.raw_input_contents.append(struct.pack("<I", len(symbol)) + symbol.encode())
    return request


def unpacked(datatype: str, raw: bytes) -> list[Any]:
    """Read a raw tensor; texts stand behind their lengths."""
    if datatype != "BYTES":
        return list(struct.unpack(f"<{len(raw) // 8}d", raw))
    texts, at = [], 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4 + length
        texts.append(raw[at - length : at].decode())
    return texts


def grpc_outputs(response: Any) -> dict[str, list[Any]]:
    return {
        output.name: unpacked(output.datatype, raw)
        for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    }


def test_grpc_answers_as_rest_does(gateway: forecasts.Gateway, environment: Environment) -> None:
    metadata = (("seldon-model", f"{forecasts.PIPELINE}.pipeline"),)
    with open_inference.Client(environment.gateway_address) as client:
        for symbol in SYMBOLS:
            rest = gateway.ask(symbol)
            answer = client.answer(typed(symbol), metadata)
            assert answer.code == "OK", answer.message
            found = grpc_outputs(answer.response)
            assert tuple(found) == contract.DECISION_OUTPUTS
            route = [value.strip(":") for key, value in answer.initial if key == "x-seldon-route"]
            assert route == list(rest.route)
            for name in set(found) - {contract.PREDICTION_ID, contract.EXPLANATION}:
                assert found[name] == rest.outputs[name], name


def test_grpc_answers_for_a_step_alone_whose_tensors_are_texts(
    gateway: forecasts.Gateway, environment: Environment
) -> None:
    rest = gateway.enriched()
    with open_inference.Client(environment.gateway_address) as client:
        answer = client.answer(typed("SPX"), (("seldon-model", "enrichment"),))
    assert answer.code == "OK", answer.message
    assert [output.name for output in answer.response.outputs] == list(rest)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_an_explanation_is_of_the_forecasts_model_and_adds_up_to_the_forecast(
    gateway: forecasts.Gateway, symbol: str
) -> None:
    answer = gateway.ask(symbol)
    explanation = answer.document(contract.EXPLANATION)
    assert explanation["model"] == forecasts.identity(answer)
    unexplained = forecasts.unexplained(answer)
    assert unexplained is not None, explanation
    assert unexplained < TOLERANCE


def test_an_explanation_is_of_the_features_that_the_caller_gave(
    gateway: forecasts.Gateway,
) -> None:
    plain = gateway.ask()
    largest = plain.document(contract.EXPLANATION)["attributions"][0]
    given = {largest["feature"]: largest["value"] + 0.5}
    answer = gateway.ask(**given)
    assert answer.status == 200, answer.text
    assert answer.model == plain.model
    assert answer.outputs[contract.PREDICTION] != plain.outputs[contract.PREDICTION]
    explained = {
        each["feature"]: each["value"]
        for each in answer.document(contract.EXPLANATION)["attributions"]
    }
    assert explained[largest["feature"]] == given[largest["feature"]]
    unexplained = forecasts.unexplained(answer)
    assert unexplained is not None
    assert unexplained < TOLERANCE


def changed_artifact(folder: pathlib.Path, beside: pathlib.Path) -> pathlib.Path:
    """Copy a linear model's artifact, with another intercept, under a name of its own content."""
    changed = pathlib.Path(shutil.copytree(folder, beside / "changed"))
    weights = json.loads((changed / "linear.json").read_text())
    weights["log_volatility"]["intercept"] += 0.25
    (changed / "linear.json").write_text(json.dumps(weights))
    manifest = json.loads((changed / "artifact.json").read_text())
    content = (changed / "linear.json").read_bytes()
    manifest["files"]["linear.json"] = hashlib.sha256(content).hexdigest()
    (changed / "artifact.json").write_text(json.dumps(manifest))
    digest = hashlib.sha256((changed / "artifact.json").read_bytes()).hexdigest()
    return changed.rename(beside / f"sha256-{digest}")


def test_a_new_version_of_a_branch_is_never_explained_with_the_old_one(
    up: environments.Stack,
    gateway: forecasts.Gateway,
    environment: Environment,
    tmp_path: pathlib.Path,
) -> None:
    before = gateway.ask()
    name, _, artifact = before.model
    base = f"{environment.mesh_url}/apis/{seldon.API_VERSION}/namespaces/{environment.namespace}"
    url = f"{base}/models/{name}"
    uri = httpx.get(url).json()["spec"]["storageUri"]
    folder = pathlib.Path(uri.removeprefix("file://"))
    assert (folder / "linear.json").exists(), f"{name} answers SPX at the end of its history"
    changed = changed_artifact(folder, tmp_path)

    def serve(storage_uri: str) -> None:
        patched = httpx.patch(
            url,
            json={"spec": {"storageUri": storage_uri}},
            headers={"content-type": "application/merge-patch+json"},
        )
        assert patched.status_code == 200, patched.text
        generation = patched.json()["metadata"]["generation"]

        def ready() -> bool:
            status = httpx.get(url).json()["status"]
            return bool(
                status["observedGeneration"] == generation
                and apply.condition(status, "Ready")["status"] == "True"
            )

        eventually(ready, f"{storage_uri} is served", 30)

    with forecasts.Callers(up) as callers:
        try:
            serve(f"file://{changed}")
            replaced = forecasts.until(
                gateway.ask, lambda answer: answer.model[2] == changed.name, "the new one answers"
            )
        finally:
            serve(uri)
        back = forecasts.until(
            gateway.ask, lambda answer: answer.model[2] == artifact, "the old one answers"
        )
    missing = replaced.document(contract.EXPLANATION)
    assert missing["reason"] == "other_artifact"
    assert missing["model"] == forecasts.identity(replaced)
    assert changed.name in missing["missing"]
    assert artifact in missing["missing"]
    ratio = replaced.outputs[contract.PREDICTION][0] / before.outputs[contract.PREDICTION][0]
    assert math.log(ratio) == pytest.approx(0.25)
    assert "uncalibrated_model" in replaced.rules
    assert not callers.failures
    for answer in [*callers.answers, back]:
        assert answer.status == 200, answer.text
        explanation = answer.document(contract.EXPLANATION)
        assert explanation["model"] == forecasts.identity(answer)
        unexplained = forecasts.unexplained(answer)
        assert (unexplained is None) == (answer.model[2] == changed.name)
        assert unexplained is None or unexplained < TOLERANCE
    assert {answer.model[2] for answer in callers.answers} == {artifact, changed.name}


def test_the_routers_pipeline_answers_as_the_branch_that_it_names(
    gateway: forecasts.Gateway,
) -> None:
    enriched = gateway.enriched()
    width = len(enriched[contract.FEATURES])
    tensors = {
        contract.FEATURES: ([1, width], enriched[contract.FEATURES]),
        contract.HISTORY: ([1, 60, len(enriched[contract.HISTORY]) // 60], enriched["history"]),
    }
    body = json.dumps(
        {
            "inputs": [
                {"name": name, "shape": shape, "datatype": "FP64", "data": data}
                for name, (shape, data) in tensors.items()
            ]
        }
    ).encode()
    routed = gateway.post(body, model="contextual-financial-router.pipeline")
    assert routed.status == 200, routed.text
    router, branch, pipeline = routed.route
    assert router.startswith("regime-router_")
    assert branch.rpartition("_")[0] == routed.model[0]
    assert pipeline == "contextual-financial-router.pipeline"
    alone = gateway.post(body, model=routed.model[0])
    assert routed.outputs == alone.outputs
    whole = gateway.ask()
    assert routed.model == whole.model
    assert routed.outputs[contract.VOLATILITY] == whole.outputs[contract.PREDICTION]


def test_every_record_of_a_request_has_its_id_as_key_and_decodes(
    up: environments.Stack, gateway: forecasts.Gateway
) -> None:
    namespace = up.settings().namespace
    gateway.ask()  # topics are there once something was said on them
    answered = gateway.ask()
    models = [each.rpartition("_")[0] for each in answered.route[:-1]]
    names = [(f"model.{model}.{side}", side) for model in models for side in ("inputs", "outputs")]
    names += [(f"pipeline.{forecasts.PIPELINE}.{side}", side) for side in ("inputs", "outputs")]
    sides = {f"seldon.{namespace}.{name}": side for name, side in names}
    with forecasts.Topics(up, *sides) as topics:
        answer = gateway.ask()
        topics.wait(
            lambda records: {each.topic for each in records if each.key == answer.id} == set(sides),
            "a record of this request on every topic",
        )
        found = [each for each in topics.records if each.key == answer.id]
    assert len(found) == len(sides), "one record a topic"
    for record in found:
        assert dict(record.headers)["pipeline"].decode() == forecasts.PIPELINE
        kind = "Request" if sides[record.topic] == "inputs" else "Response"
        message = open_inference.messages[f"ModelInfer{kind}"].FromString(record.value)
        assert message.id == answer.id
        tensors = message.inputs if kind == "Request" else message.outputs
        assert tensors, record.topic
        if record.topic.endswith(f"pipeline.{forecasts.PIPELINE}.outputs"):
            assert [each.name for each in tensors] == list(contract.DECISION_OUTPUTS)
            numbers = {each.name: list(each.contents.fp64_contents) for each in tensors}
            assert numbers[contract.PREDICTION] == answer.outputs[contract.PREDICTION]
    declared = {step.name for step in pipelines.PREDICTION.spec.steps}
    assert set(models) < declared, "other branches said nothing"


def document(**change: Any) -> bytes:
    """A request whose base feature, or symbol, is changed."""
    written = forecasts.inputs("SPX", rsi_14d=50.0)
    symbol, feature = written["inputs"]
    symbol.update({key: value for key, value in change.items() if key in symbol})
    feature.update(change.get("base", {}))
    return json.dumps(written).encode()


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (document(data=["SPXX"]), 400, ["enrichment", "'SPXX' is unknown", "did you mean 'SPX'?",
                                        ", ".join(SYMBOLS)]),
        (document(name="symbl"), 400, ["enrichment", "'symbl' is unknown", "did you mean 'symbol'?"]),
        (document(base={"name": "rsi_14"}), 400, ["'rsi_14' is unknown", "did you mean 'rsi_14d'?"]),
        (document(base={"datatype": "BYTES", "data": ["50"]}), 400, ["'rsi_14d'", "FP32 or FP64"]),
        (document(base={"shape": [2], "data": [1, 2]}), 400, ["'rsi_14d'", "shape [1], got [2]"]),
        (document(base={"data": [float("nan")]}), 400, ["not valid JSON", "column"]),
        (document(base={"data": [float("inf")]}), 400, ["not valid JSON", "column"]),
        (document(base={"data": [None]}), 400, ["'rsi_14d'", "finite"]),
        (document(shape=[2], data=["SPX", "IXIC"]), 400, ["'symbol'", "shape [1], got [2]"]),
        (document(data=[7]), 400, ["'symbol'", "7"]),
        (b'{"inputs": []}', 400, ["no tensors", "add them to `inputs`"]),
        (b"", 400, ["not valid JSON"]),
        (b"{broken", 400, ["not valid JSON"]),
        (b"[" + b"1," * 20_000_000 + b"1]", 413, ["the limit is"]),
    ],
    ids=[
        "unknown symbol", "tensor name", "base feature", "datatype", "shape", "nan", "infinity",
        "null", "two symbols", "number", "no tensors", "empty body", "broken json", "40 MB",
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_a_reason_and_the_next_request_is_served(
    gateway: forecasts.Gateway, content: bytes, status: int, said: list[str]
) -> None:
    answer = gateway.post(content)
    assert answer.status == status, answer.text
    for words in said:
        assert words in answer.text
    assert forecasts.is_normal(gateway.ask())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_base_feature_that_is_not_finite_is_refused_over_grpc(
    environment: Environment, value: float
) -> None:
    metadata = (("seldon-model", f"{forecasts.PIPELINE}.pipeline"),)
    request = typed("SPX")
    request.inputs.add(name="rsi_14d", datatype="FP64", shape=[1])
    request.raw_input_contents.append(struct.pack("<d", value))
    with open_inference.Client(environment.gateway_address) as client:
        answer = client.answer(request, metadata)
        assert "tensor 'rsi_14d': expected finite numbers" in answer.message
        assert answer.code == "UNKNOWN", "a step's error, as Seldon's pipeline gateway answers it"
        assert client.answer(typed("SPX"), metadata).code == "OK"
