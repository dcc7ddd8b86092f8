"""A feature is added by its declaration alone; run by `test_feature_store.py`."""

import asyncio
import datetime as dt
import json
import math
import os
import pathlib
import time

import added_feature
import pytest
from mlserver import types
from mlserver.settings import ModelParameters, ModelSettings

from runtimes.features import (
    artifact,
    bars,
    definitions,
    enrichment,
    folding,
    online_store,
    repository,
    training_set,
)

FOLDER = pathlib.Path(os.environ["BELLWETHER_TEST_FOLDER"])
VALKEY = os.environ["BELLWETHER_TEST_VALKEY"]
ARTIFACT = FOLDER / "artifact-with-one-more"
DAY = dt.date(2018, 12, 27)


@pytest.fixture(autouse=True)
def added(monkeypatch):
    monkeypatch.setattr(definitions, "TECHNICAL_INDICATORS", definitions.TECHNICAL_INDICATORS)
    added_feature.add()


def answer(registry, **base):
    """Ask the step, in this process, for SPX."""
    settings = ModelSettings(
        name="enrichment_1",
        implementation="runtimes.features.enrichment.Enrichment",
        parameters=ModelParameters(
            uri=str(ARTIFACT),
            extra={"kafka": "127.0.0.1:1", "valkey": VALKEY, "registry": str(registry)},
        ),
    )
    inputs = [types.RequestInput(name="symbol", shape=[1], datatype="BYTES", data=["SPX"])]
    inputs += [
        types.RequestInput(name=name, shape=[1], datatype="FP64", data=[value])
        for name, value in base.items()
    ]

    async def ask():
        step = enrichment.Enrichment(settings)
        await step.load()
        found = await step.predict(types.InferenceRequest(inputs=inputs))
        await step.unload()
        return {output.name: output.data.root for output in found.outputs}

    return asyncio.run(ask())


def test_an_added_feature_is_in_training_set_online_store_and_request(tmp_path):
    registry = tmp_path / "registry.db"
    declared = artifact.declared(ARTIFACT)
    assert declared.model_features[-1].name == "return_3d"
    folded = folding.Folding(declared, bars.read(ARTIFACT / bars.FILE))
    folded.seed(DAY)
    closes = [
        values[3]
        for symbol, day, values in bars.read(ARTIFACT / bars.FILE).until(DAY)
        if symbol == "SPX"
    ]
    wanted = math.log(closes[-1] / closes[-4])

    asked = training_set.days(ARTIFACT, ["SPX"], DAY, DAY)
    trained = training_set.training_set(ARTIFACT, registry, asked)
    assert trained.loc[0, "return_3d"] == pytest.approx(wanted, rel=1e-12)

    store = repository.opened(registry, VALKEY)
    writer = online_store.Writer(
        VALKEY, repository.layout(store, "enriched", declared.digest), folded
    )
    assert writer.flush({})
    writer.set_clock(DAY, time.time(), back=True)
    service = store.get_feature_service("forecasting")
    online = store.get_online_features(service, [{"symbol": "SPX"}]).to_dict()
    assert online["return_3d"][0] == pytest.approx(wanted, rel=1e-12)

    found = answer(registry)
    assert found["features"][-1] == pytest.approx(wanted, rel=1e-12)
    assert found["quality_score"] == [1.0], found["quality"]
    assert answer(registry, return_3d=0.25)["features"][-1] == 0.25
    odd = json.loads(answer(registry, return_3d=3.0)["quality"][0])
    assert odd["out_of_range"] == ["return_3d"]


def test_an_artifact_of_other_definitions_is_refused(monkeypatch):
    monkeypatch.setattr(definitions, "TECHNICAL_INDICATORS", definitions.TECHNICAL_INDICATORS[:-1])
    with pytest.raises(artifact.ArtifactError, match="other feature definitions"):
        artifact.declared(ARTIFACT)
