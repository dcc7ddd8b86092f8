"""Bad input at the gateway: each is refused with a reason, and the next good one is served."""

import json

import httpx
import numpy as np
import pytest

from bellwether import predict
from models import requests, sources

pytestmark = pytest.mark.stack

MODEL = "baseline-predictor"


def body():
    """One real request, as a document."""
    return predict.inference_request(requests.latest("SPX", sources.Source(None)))


def changed(**change):
    document = body()
    document["inputs"][0].update(change)
    return document


def without_rows():
    document = body()
    for tensor in document["inputs"]:
        tensor["shape"] = [0, *tensor["shape"][1:]]
        tensor["data"] = []
    return document


def with_nan():
    document = body()
    document["inputs"][0]["data"][3] = float("nan")
    return document


@pytest.fixture
def gateway(up):
    with httpx.Client(base_url=f"http://127.0.0.1:{up.settings().ports.gateway}") as client:
        yield client


def post(gateway, content, model=MODEL, content_type="application/json"):
    return gateway.post(
        f"/v2/models/{model}/infer",
        content=content if isinstance(content, bytes) else json.dumps(content).encode(),
        headers={"content-type": content_type},
        timeout=60,
    )


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (lambda: changed(name="featurs"), 400, "did you mean 'features'?"),
        (lambda: changed(shape=[1, 3], data=[0.0, 1.0, 2.0]), 400, "expected shape [n, "),
        (lambda: changed(shape=[2, 9]), 400, "tensor 'features'"),
        (lambda: changed(datatype="FP23"), 422, "'FP32', 'FP64'"),
        (lambda: changed(datatype="BYTES"), 400, "expected datatype FP32 or FP64, got BYTES"),
        (without_rows, 400, "row"),
        (lambda: {"inputs": []}, 400, "tensor 'features' is missing"),
        (with_nan, 422, "JSON decode error"),
        (lambda: b"{broken", 422, "JSON decode error"),
        (lambda: b"", 422, "Field required"),
        (lambda: b"[" + b"1," * 50_000_000 + b"1]", 413, "the limit is"),
    ],
    ids=[
        "tensor name", "features", "shape", "datatype", "strings", "no rows", "no tensors", "nan",
        "broken json", "no body", "100 MB",
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_a_reason_and_the_next_request_is_served(
    gateway, content, status, said
):
    answer = post(gateway, content())
    assert answer.status_code == status
    assert said in answer.text
    assert post(gateway, body()).status_code == 200


def test_an_unknown_model_is_404_and_says_where_to_look(gateway):
    answer = post(gateway, body(), model="nosuch")
    assert answer.status_code == 404
    assert "nosuch" in answer.text
    models = httpx.get(answer.json()["list"]["models"]).json()["items"]
    assert MODEL in {item["metadata"]["name"] for item in models}


def test_a_wrong_content_type_is_refused_with_the_right_one(gateway):
    answer = post(gateway, body(), content_type="text/plain")
    assert answer.status_code == 415
    assert "application/json" in answer.text


def test_metadata_names_tensors_shapes_and_columns(gateway):
    described = gateway.get(f"/v2/models/{MODEL}").json()
    tensors = {t["name"]: t for t in described["inputs"] + described["outputs"]}
    assert set(tensors) == {"features", "history", "volatility", "direction", "interval", "model"}
    columns = tensors["features"]["parameters"]["columns"].split(",")
    assert tensors["features"]["shape"] == [-1, len(columns)]


@pytest.mark.parametrize(
    "model", [f"{m}-predictor" for m in (
        "baseline", "enhanced", "transformer", "ensemble",
        "robust", "aggressive", "conservative", "explainable",
    )]
)  # fmt: skip
def test_every_model_forecasts_many_days_of_every_symbol_at_once(gateway, model):
    source = sources.Source(None)
    for symbol in requests.symbols(source):
        days = requests.days(symbol, source, last=20)
        document = predict.inference_request(days)
        answer = post(gateway, document, model=model)
        assert answer.status_code == 200, answer.text
        outputs = {o["name"]: np.reshape(o["data"], o["shape"]) for o in answer.json()["outputs"]}
        assert outputs["volatility"].shape == outputs["direction"].shape == (20,)
        assert outputs["interval"].shape == (20, 2)
        assert np.all(outputs["interval"][:, 0] < outputs["interval"][:, 1])
        assert np.all((outputs["direction"] > 0) & (outputs["direction"] < 1))
        assert answer.headers["x-seldon-route"].startswith(f":{model}_")
