"""The runtime inside a real MLServer, over REST and gRPC."""

import concurrent.futures
import hashlib
import json
import math
import pathlib
import re
import shutil
import subprocess
from typing import Any

import httpx
import pytest
from mlserver_process import (
    HERE,
    KINDS,
    MAX_ROWS,
    ROOT,
    Server,
    environment_python,
    write_settings,
)

FEATURES = [0.25, 0.5, 0.75]
HISTORY = [0.5, 1.5] * 4


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


# (volatility, direction) for FEATURES and HISTORY, from the definitions in tiny_artifacts.py
EXPECTED = {
    "linear": (math.exp(-2 + 0.25), sigmoid(0.75)),
    "lightgbm": (math.exp(0.5 - 1.5), 0.75),
    "onnx": (math.exp(1 - 2), sigmoid(0.75)),
    "ensemble": (math.exp(((-2 + 0.25) + (1 - 2)) / 2), sigmoid(0.75)),
}


def body(rows: int = 1, datatype: str = "FP64", **more: Any) -> dict[str, Any]:
    return {
        "inputs": [
            {
                "name": "features",
                "shape": [rows, 3],
                "datatype": datatype,
                "data": FEATURES * rows,
            },
            {
                "name": "history",
                "shape": [rows, 4, 2],
                "datatype": datatype,
                "data": HISTORY * rows,
            },
        ],
        **more,
    }


def infer(server: Server, document: Any, kind: str = "linear") -> httpx.Response:
    return server.http.post(f"/v2/models/{kind}-predictor_1/infer", json=document)


def outputs(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return {output["name"]: output for output in response.json()["outputs"]}


def call_grpc(server: Server, *calls: dict[str, Any]) -> list[dict[str, Any]]:
    finished = subprocess.run(
        [environment_python("serving"), str(HERE / "grpc_calls.py"), server.grpc],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    answers: list[dict[str, Any]] = json.loads(finished.stdout)
    return answers


def grpc_call(form: str, datatype: str, kind: str = "linear", **more: Any) -> dict[str, Any]:
    tensors = []
    for name, shape, values in (("features", [1, 3], FEATURES), ("history", [1, 4, 2], HISTORY)):
        tensor: dict[str, Any] = {"name": name, "shape": shape, "datatype": datatype}
        if form == "raw":
            tensor["raw"] = values
        else:
            tensor |= {"field": f"{datatype.lower()}_contents", "contents": values}
        tensors.append(tensor)
    return {"model": f"{kind}-predictor_1", "tensors": tensors, **more}


def count(server: Server, metric: str, **labels: str) -> float:
    """The value of a counter or a histogram's count in Prometheus' text, 0 if it is absent."""
    for line in server.scrape().splitlines():
        match = re.fullmatch(re.escape(metric) + r"\{(.*)\} (\S+)", line)
        if match and dict(re.findall(r'(\w+)="([^"]*)"', match[1])) == labels:
            return float(match[2])
    return 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_artifact_forecasts_what_its_weights_say(server: Server, kind: str) -> None:
    answer = outputs(infer(server, body(), kind))
    volatility, direction = EXPECTED[kind]
    assert answer["volatility"]["data"] == pytest.approx([volatility], rel=1e-6)
    assert answer["direction"]["data"] == pytest.approx([direction], rel=1e-6)
    # interval.intercept is 0.5, its ends are at -1 and 1 times that
    assert answer["interval"]["data"] == pytest.approx(
        [volatility * math.exp(-0.5), volatility * math.exp(0.5)], rel=1e-6
    )
    described = {name: (each["shape"], each["datatype"]) for name, each in answer.items()}
    assert described == {
        "volatility": ([1], "FP64"),
        "direction": ([1], "FP64"),
        "interval": ([1, 2], "FP64"),
        "model": ([1, 3], "BYTES"),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_forecast_alike_alone_in_the_loop_and_in_a_thread(
    server: Server, kind: str
) -> None:
    alone = outputs(infer(server, body(1), kind))
    for rows in (4, MAX_ROWS):
        many = outputs(infer(server, body(rows), kind))
        assert many["volatility"]["data"] == alone["volatility"]["data"] * rows
        assert many["interval"]["shape"] == [rows, 2]
        assert many["interval"]["data"] == alone["interval"]["data"] * rows


def test_an_answer_names_model_version_and_artifact(server: Server) -> None:
    answer = infer(server, body(id="a-request")).json()
    assert answer["id"] == "a-request"
    assert answer["model_name"] == "linear-predictor_1"
    parameters = answer["parameters"]
    assert (parameters["model"], parameters["version"]) == ("linear-predictor", "1")
    manifest = (server.artifacts / "linear" / "artifact.json").read_bytes()
    digest = hashlib.sha256(manifest).hexdigest()
    assert parameters["artifact"] == f"manifest-sha256-{digest}"


def test_every_row_names_the_model_that_forecast_it_in_a_tensor(server: Server) -> None:
    answer = infer(server, body(3)).json()
    parameters = answer["parameters"]
    identity = [parameters[name] for name in ("model", "version", "artifact")]
    (tensor,) = [each for each in answer["outputs"] if each["name"] == "model"]
    assert tensor["shape"] == [3, 3]
    assert tensor["data"] == identity * 3


def test_a_content_addressed_folder_is_named_in_the_answer(
    server: Server, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / f"sha256-{'0a' * 32}"
    shutil.copytree(server.artifacts / "linear", folder)
    write_settings(server.repository, "addressed-predictor_1", folder)
    assert server.load("addressed-predictor_1").status_code == 200
    answer = server.http.post("/v2/models/addressed-predictor_1/infer", json=body())
    assert answer.json()["parameters"]["artifact"] == folder.name


def test_only_the_outputs_that_are_asked_for_come_back(server: Server) -> None:
    answer = infer(server, body(outputs=[{"name": "interval"}, {"name": "volatility"}]))
    assert list(outputs(answer)) == ["interval", "volatility"]


def test_the_metadata_name_every_column_shape_and_the_level(server: Server) -> None:
    metadata = server.http.get("/v2/models/lightgbm-predictor_1").json()
    features, history = metadata["inputs"]
    assert (features["name"], features["shape"]) == ("features", [-1, 3])
    assert features["parameters"]["columns"] == "rv_5,rv_22,return_1"
    assert (history["name"], history["shape"]) == ("history", [-1, 4, 2])
    assert history["parameters"]["columns"] == "return,range"
    assert {tensor["name"]: tensor["shape"] for tensor in metadata["outputs"]} == {
        "volatility": [-1],
        "direction": [-1],
        "interval": [-1, 2],
        "model": [-1, 3],
    }
    assert metadata["platform"] == "bellwether_lightgbm"
    assert metadata["versions"] == ["1"]
    assert metadata["parameters"]["interval_level"] == "0.9"


def without_history(document: dict[str, Any]) -> None:
    del document["inputs"][1]


def nan_as_null(document: dict[str, Any]) -> None:
    document["inputs"][0]["data"][1] = None


def wrong_width(document: dict[str, Any]) -> None:
    document["inputs"][0] |= {"shape": [1, 2], "data": [0.0, 1.0]}


def unknown_output(document: dict[str, Any]) -> None:
    document["outputs"] = [{"name": "price"}]


def empty_batch(document: dict[str, Any]) -> None:
    document["inputs"][0] |= {"shape": [0, 3], "data": []}
    document["inputs"][1] |= {"shape": [0, 4, 2], "data": []}


def too_many_rows(document: dict[str, Any]) -> None:
    document |= body(MAX_ROWS + 1)


def beyond_any_market(document: dict[str, Any]) -> None:
    document["inputs"][1]["data"] = [1e308, -1e308] * 4


@pytest.mark.parametrize(
    ("spoil", "reason", "words", "kind"),
    [
        (without_history, "missing_tensor", "'history' is missing", "linear"),
        (nan_as_null, "not_finite", "feature 'rv_22'", "linear"),
        (wrong_width, "shape", "expected shape [n, 3]", "linear"),
        (unknown_output, "unknown_output", "'price' is unknown", "linear"),
        (empty_batch, "empty_batch", "send at least one row", "linear"),
        (too_many_rows, "too_many_rows", f"at most {MAX_ROWS} rows", "linear"),
        (beyond_any_market, "not_finite", "no finite forecast", "onnx"),
    ],
)
def test_a_bad_request_is_refused_counted_and_the_next_good_one_served(
    server: Server, spoil: Any, reason: str, words: str, kind: str
) -> None:
    labels = {
        "model": f"{kind}-predictor",
        "version": "1",
        "outcome": "invalid",
        "reason": reason,
    }
    before = count(server, "bellwether_predictions_total", **labels)
    document = body()
    spoil(document)
    answer = infer(server, document, kind)
    assert answer.status_code == 400, answer.text
    assert f"'{kind}-predictor'" in answer.json()["error"]
    assert words in answer.json()["error"]
    assert count(server, "bellwether_predictions_total", **labels) == before + 1
    outputs(infer(server, body(), kind))


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [
        (b'{"inputs": [', {}, 422, "JSON decode error"),
        (b"[]", {}, 422, "valid dictionary"),
        (b"{}", {}, 422, "inputs"),
        (b'{"inputs": [{"name": "features", "data": [NaN]}]}', {}, 422, "JSON decode error"),
        (b"not json", {"content-type": "text/plain"}, 415, "application/json"),
        (b"\xff\xfe", {"content-type": "application/octet-stream"}, 415, "application/json"),
        (b"\xff\xfe", {}, 422, "JSON decode error"),
        (b"not gzip", {"content-encoding": "gzip"}, 400, "not gzip"),
    ],
)
def test_what_is_no_inference_request_is_a_client_error(
    server: Server, content: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = server.http.post(
        "/v2/models/linear-predictor_1/infer",
        content=content,
        headers={"content-type": "application/json"} | headers,
    )
    assert answer.status_code == status, answer.text
    assert words in answer.text
    outputs(infer(server, body()))


@pytest.mark.parametrize("kind", KINDS)
def test_grpc_answers_as_rest_does_for_typed_and_raw_contents(server: Server, kind: str) -> None:
    forms = [(form, datatype) for form in ("contents", "raw") for datatype in ("FP32", "FP64")]
    rest = outputs(infer(server, body(), kind))
    answers = call_grpc(server, *(grpc_call(form, datatype, kind) for form, datatype in forms))
    for form, answer in zip(forms, answers, strict=True):
        assert answer["code"] == "OK", (form, answer)
        for name, output in answer["outputs"].items():
            # FEATURES and HISTORY are exact in single precision
            assert output["data"] == rest[name]["data"], form
            assert output["shape"] == rest[name]["shape"]
            assert output["datatype"] == rest[name]["datatype"]
        assert answer["outputs"].keys() == rest.keys()


def spoiled(index: int, form: str = "raw", **change: Any) -> dict[str, Any]:
    call = grpc_call(form, "FP64")
    if "hex" in change:
        del call["tensors"][index]["raw"]
    call["tensors"][index] |= change
    return call


def test_grpc_requests_that_do_not_fit_are_invalid_arguments(server: Server) -> None:
    one_short = grpc_call("raw", "FP64")
    one_short["tensors"][1] |= {"field": "fp64_contents", "contents": []}
    del one_short["tensors"][1]["raw"]
    wrong_type = grpc_call("raw", "FP64")
    for tensor in wrong_type["tensors"]:
        tensor["datatype"] = "INT64"
        tensor["raw"] = [1] * len(tensor["raw"])
    cases = [
        (spoiled(0, shape=[1, 4]), ["'features'", "takes 32 bytes", "got 24"]),
        (spoiled(1, datatype="FP32", hex="00" * 64), ["'history'", "takes 32 bytes", "got 64"]),
        (spoiled(0, shape=[-1, 3]), ["negative size"]),
        (spoiled(0, shape=[1 << 40, 3]), ["'features'", "got 24"]),
        (one_short, ["expected 2 entries", "got 1"]),
        (wrong_type, ["expected datatype FP32 or FP64, got INT64"]),
        (spoiled(0, form="contents", contents=[1.0]), ["holds 3 values, got 1"]),
        (spoiled(0, form="contents", datatype="FP31"), ["FP32 or FP64, got FP31"]),
        (spoiled(0, raw=[1.0, math.nan, 1.0]), ["nan at row 0, feature 'rv_22'"]),
        (grpc_call("raw", "FP64", outputs=["price"]), ["'price' is unknown"]),
    ]
    unknown = grpc_call("contents", "FP64")
    for tensor in unknown["tensors"]:
        tensor |= {"hex": "00" * 8, "datatype": "FP31"}
        del tensor["contents"]
    cases.append((unknown, ["datatype 'FP31' is unknown"]))
    text = spoiled(0)
    text["tensors"][0] = {
        "name": "features",
        "shape": [1],
        "datatype": "BYTES",
        "hex": "ff00000061",  # says 255 bytes, has one
    }
    cases.append((text, ["cannot be unpacked"]))
    answers = call_grpc(server, *(call for call, _ in cases), grpc_call("raw", "FP32"))
    for (_, words), answer in zip(cases, answers[:-1], strict=True):
        assert answer["code"] == "INVALID_ARGUMENT", (words, answer)
        for word in words:
            assert word in answer["details"]
    assert answers[-1]["code"] == "OK"


def test_grpc_metadata_carry_the_columns_and_the_level(server: Server) -> None:
    (answer,) = call_grpc(server, {"metadata": "onnx-predictor_1"})
    assert answer == {
        "inputs": {"features": [-1, 3], "history": [-1, 4, 2]},
        "columns": {"features": "rv_5,rv_22,return_1", "history": "return,range"},
        "level": "0.9",
    }


def test_predictions_rows_durations_and_volatilities_are_counted(server: Server) -> None:
    model = {"model": "ensemble-predictor", "version": "1"}
    metrics = {
        "bellwether_predictions_total": model | {"outcome": "ok", "reason": ""},
        "bellwether_prediction_rows_total": model,
        "bellwether_prediction_seconds_count": model,
        "bellwether_forecast_volatility_count": model,
    }
    before = {name: count(server, name, **labels) for name, labels in metrics.items()}
    outputs(infer(server, body(3), "ensemble"))
    grown = {name: count(server, name, **labels) - before[name] for name, labels in metrics.items()}
    assert list(grown.values()) == [1, 3, 1, 3]


def test_a_model_is_loaded_again_and_in_a_new_version_without_a_failed_request(
    server: Server,
) -> None:
    names = ["again-predictor_1", "again-predictor_2"]
    write_settings(server.repository, names[0], server.artifacts / "linear")
    assert server.load(names[0]).status_code == 200
    write_settings(server.repository, names[1], server.artifacts / "onnx")

    def ask(_: int) -> int:
        return server.http.post(f"/v2/models/{names[0]}/infer", json=body()).status_code

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = pool.map(ask, range(200))
        for _ in range(3):
            assert server.load(names[0]).status_code == 200
            assert server.load(names[1]).status_code == 200
        assert set(asked) == {200}
    ok = {"outcome": "ok", "reason": ""}
    outputs(server.http.post(f"/v2/models/{names[1]}/infer", json=body()))
    for version, least in (("1", 200), ("2", 1)):
        labels = {"model": "again-predictor", "version": version} | ok
        assert count(server, "bellwether_predictions_total", **labels) >= least


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"max_row": "64"}, ["max_row", "known are max_rows, thread_rows"]),
        ({"max_rows": "many"}, ["max_rows", "'many'"]),
        ({"max_rows": "0"}, ["max_rows", "greater than or equal to 1"]),
    ],
)
def test_a_wrong_parameter_refuses_the_model_and_names_it(
    server: Server, extra: dict[str, str], words: list[str]
) -> None:
    write_settings(server.repository, "wrong-predictor_1", server.artifacts / "linear", **extra)
    answer = server.load("wrong-predictor_1")
    assert answer.status_code == 422
    for word in ("'wrong-predictor_1'", *words):
        assert word in answer.json()["error"]
    shutil.rmtree(server.repository / "wrong-predictor_1")


def test_a_damaged_artifact_refuses_the_model_and_the_old_one_goes_on(
    server: Server, tmp_path: pathlib.Path
) -> None:
    name = "damaged-predictor_1"
    write_settings(server.repository, name, server.artifacts / "linear")
    assert server.load(name).status_code == 200
    folder = tmp_path / "damaged"
    shutil.copytree(server.artifacts / "linear", folder)
    (folder / "linear.json").write_text("{}")
    write_settings(server.repository, name, folder)
    answer = server.load(name)
    assert answer.status_code == 422
    assert "linear.json: is damaged" in answer.json()["error"]
    outputs(server.http.post(f"/v2/models/{name}/infer", json=body()))


def test_weights_that_forecast_nothing_finite_are_refused_at_load(
    server: Server, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "nan"
    shutil.copytree(server.artifacts / "linear", folder)
    manifest = json.loads((folder / "artifact.json").read_text())
    manifest["interval"]["intercept"] = math.nan
    (folder / "artifact.json").write_text(json.dumps(manifest))
    write_settings(server.repository, "nan-predictor_1", folder)
    answer = server.load("nan-predictor_1")
    assert answer.status_code == 422
    assert "interval for inputs that are all 0" in answer.json()["error"]
    shutil.rmtree(server.repository / "nan-predictor_1")


def test_a_folder_that_is_not_there_is_named(server: Server, tmp_path: pathlib.Path) -> None:
    write_settings(server.repository, "absent-predictor_1", tmp_path / "absent")
    answer = server.load("absent-predictor_1")
    assert answer.status_code == 422
    assert str(tmp_path / "absent") in answer.json()["error"]
    shutil.rmtree(server.repository / "absent-predictor_1")


def test_the_runtime_imports_nothing_of_the_infrastructure() -> None:
    program = (
        "import sys, runtimes.predictor.runtime; "
        "print(sorted(name for name in sys.modules if name.split('.')[0] in {'infra', 'models'}))"
    )
    finished = subprocess.run(
        [environment_python("serving"), "-c", program],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.strip() == "[]"
