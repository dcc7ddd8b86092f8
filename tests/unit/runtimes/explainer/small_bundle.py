"""Writes small predictors and the bundles over them; runs in the training environment.

    BELLWETHER_CACHE=FOLDER python small_bundle.py FOLDER

leaves in FOLDER: `csvs/` of a market that never was, `artifacts/<model>/sha256-…/` of one predictor
of each kind, of a second version of one that no bundle knows, of both steps, and `names.json`.
The networks are not fitted: their weights are random, and large enough to bend.
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "models"))

import conftest  # the market of the models' tests

from models import (
    artifacts,
    boosting,
    dataset,
    features,
    fitting,
    index,
    linear,
    networks,
    regimes,
    sources,
    steps,
)
from models.ensemble import model as ensemble
from models.explainable import model as explainable
from models.transformer import model as transformer
from runtimes import contract
from runtimes.predictor import artifact, forecast_ensemble

INTERVAL = artifact.IntervalRule(
    level=0.9,
    lower=-1.0,
    upper=1.0,
    feature="log_variance_22d",
    intercept=0.3,
    slope=0.0,
    minimum=0.1,
)


def save(name: str, fitted: fitting.Fitted, data: dataset.Dataset) -> index.Record:
    """Write an artifact as training does, without a card."""
    folder = index.cache.artifacts() / name / "new"
    folder.mkdir(parents=True)
    parameters = fitted.save(folder)
    manifest = artifact.Manifest(
        model=name,
        kind=fitted.kind,
        features=tuple(map(features.declared, features.FEATURES)),
        history_length=data.length,
        history_channels=tuple(map(features.declared, features.CHANNELS)),
        horizon_days=contract.HORIZON_DAYS,
        interval=INTERVAL,
        files={
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
        parameters=dict(parameters),
    )
    (folder / artifact.MANIFEST).write_text(json.dumps(manifest.document()))
    (folder / artifacts.SETTINGS).write_text(json.dumps(artifacts.settings(name)))
    target = folder.rename(folder.with_name(index.name(folder)))
    return index.Record(key=name, model=name, artifact=target.name, seconds=0.0)


def sample(data: dataset.Dataset) -> fitting.Sample:
    rows = np.flatnonzero(np.isfinite(data.log_volatility) & np.isfinite(data.rise))
    history = data.history(rows)
    return fitting.Sample(
        feature_names=tuple(column.name for column in features.FEATURES),
        features=data.features[rows],
        history=history,
        log_volatility=data.log_volatility[rows],
        rise=data.rise[rows],
        regime=regimes.of(history),
    )


def network(body: networks.Body, rows: fitting.Sample) -> networks.FittedNetwork:
    """Lines that were fitted, and what a random body adds to them."""
    made = networks.Network(body, rows.features.shape[1])
    made.set_scale(rows.features, rows.feature_names.index(linear.LEVEL))
    made.set_lines(
        linear.volatility(rows, rows.feature_names, np.ones(len(rows.rise))),
        linear.direction(rows, np.ones(len(rows.rise))),
    )
    torch.nn.init.normal_(made.head.weight, std=0.05)
    return networks.FittedNetwork(made.eval())


def fitted(data: dataset.Dataset) -> dict[str, fitting.Fitted]:
    rows = sample(data)
    task = fitting.Task(sample=rows, seed=1)
    torch.manual_seed(1)
    shape = (data.length, data.channels.shape[1])
    return {
        "line": linear.fit(rows, rows.feature_names),
        "line2": linear.fit(rows, rows.feature_names, weights=rows.emphasis(regimes.VOLATILE, 5.0)),
        "trees": boosting.fit(
            task, boosting.Trees(rounds=20, rate=0.1, leaves=8, fewest=40), np.ones(len(rows.rise))
        ),
        "lstm": network(explainable.Recurrent(*shape, rows.features.shape[1]), rows),
        "transformer": network(transformer.Attention(*shape, rows.features.shape[1]), rows),
    }


def main(folder: pathlib.Path) -> None:
    frames = conftest.simulated(("AAA", "BBB", "CCC"), days=500)
    source = sources.Source(conftest.write_csvs(folder / "csvs", frames))
    data = dataset.load(source)
    models = fitted(data)
    records = {name: save(name, each, data) for name, each in models.items()}
    members = {"line": 0.3, "trees": 0.3, "lstm": 0.4}
    together = ensemble.FittedEnsemble(
        ensemble=forecast_ensemble.Ensemble(
            members=tuple(
                forecast_ensemble.Member(name, models[name], weight, weight)
                for name, weight in members.items()
            )
        ),
        folders={name: records[name].folder for name in members},
    )
    records["ensemble"] = save("ensemble", together, data)
    known = {name: record for name, record in records.items() if name != "line2"}
    task = steps.Task(data=data, source=source, seed=1, models=known)
    folders = {name: str(record.folder) for name, record in records.items()}
    for name in ("explainer", "explanations"):
        folders[name] = str(artifacts.save_step(name, task))
        again = artifacts.save_step(name, task)
        assert str(again) == folders[name], f"{name}: the same task gives other bytes"
    np.savez(folder / "rows.npz", features=data.features, history=data.history())
    (folder / "names.json").write_text(json.dumps(folders))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
