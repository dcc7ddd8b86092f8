"""Writes a tiny artifact of each kind; runs in the training environment, which has the libraries.

    python tiny_artifacts.py FOLDER

leaves FOLDER/linear, FOLDER/lightgbm, FOLDER/onnx and FOLDER/ensemble: 3 features, 4 days of 2
channels. What each forecasts is known in closed form, see `EXPECTED` in the tests.
"""

import hashlib
import json
import pathlib
import sys

import numpy as np

from runtimes import contract
from runtimes.predictor import artifact

FEATURES = ("rv_5", "rv_22", "return_1")
CHANNELS = ("return", "range")
DAYS = 4


def manifest(
    folder: pathlib.Path, kind: str, files: list[str], parameters: dict[str, object]
) -> None:
    document = artifact.Manifest(
        model=kind,
        kind=kind,
        features=tuple(artifact.Feature(name, "log", name) for name in FEATURES),
        history_length=DAYS,
        history_channels=tuple(artifact.Feature(name, "log", name) for name in CHANNELS),
        horizon_days=5,
        interval=artifact.IntervalRule(
            level=0.9,
            lower=-1.0,
            upper=1.0,
            feature=FEATURES[0],
            intercept=0.5,
            slope=0.0,
            minimum=0.1,
        ),
        files={name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files},
        parameters=parameters,
    ).document()
    (folder / artifact.MANIFEST).write_text(json.dumps(document, indent=1))


def linear(folder: pathlib.Path) -> None:
    """log volatility = -2 + features[0], log odds = features[2]."""
    folder.mkdir(parents=True)
    weights = {
        "log_volatility": {"intercept": -2.0, "coefficients": {FEATURES[0]: 1.0}},
        "log_odds": {"intercept": 0.0, "coefficients": {FEATURES[2]: 1.0}},
    }
    (folder / "linear.json").write_text(json.dumps(weights))
    manifest(folder, "linear", ["linear.json"], {})


def lightgbm(folder: pathlib.Path) -> None:
    """log volatility = 0.5 + (-3.5 where features[0] < 0, else -1.5); direction 0.25 or 0.75."""
    import lightgbm as lgb  # noqa: PLC0415  # one kind's library

    folder.mkdir(parents=True)
    rng = np.random.default_rng(7)
    features = rng.normal(size=(400, len(FEATURES)))
    high = features[:, 0] > 0
    for name, low_value, high_value in (
        ("log_volatility", -3.5, -1.5),
        ("direction", 0.25, 0.75),
    ):
        data = lgb.Dataset(
            features, np.where(high, high_value, low_value), feature_name=list(FEATURES)
        )
        options = {"objective": "l2", "num_leaves": 2, "learning_rate": 1.0, "verbose": -1}
        booster = lgb.train(options, data, num_boost_round=1)
        booster.save_model(str(folder / f"{name}.txt"))
    line = {"intercept": 0.5, "coefficients": {}}
    (folder / "line.json").write_text(json.dumps(line))
    manifest(folder, "lightgbm", ["line.json", "log_volatility.txt", "direction.txt"], {})


def onnx(folder: pathlib.Path) -> None:
    """log volatility = mean of history - 2; direction = sigmoid(features[2])."""
    from onnx import TensorProto, checker, helper, numpy_helper, save  # noqa: PLC0415  onnx is where models are trained

    folder.mkdir(parents=True)
    size = ["n"]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", [contract.HISTORY, "days"], ["mean"], keepdims=0),
            helper.make_node("Sub", ["mean", "two"], ["log_volatility"]),
            helper.make_node("Gather", [contract.FEATURES, "last"], ["odds"], axis=1),
            helper.make_node("Sigmoid", ["odds"], [contract.DIRECTION]),
        ],
        "tiny",
        [
            helper.make_tensor_value_info(
                contract.FEATURES, TensorProto.FLOAT, [*size, len(FEATURES)]
            ),
            helper.make_tensor_value_info(
                contract.HISTORY, TensorProto.FLOAT, [*size, DAYS, len(CHANNELS)]
            ),
        ],
        [
            helper.make_tensor_value_info("log_volatility", TensorProto.FLOAT, size),
            helper.make_tensor_value_info(contract.DIRECTION, TensorProto.FLOAT, size),
        ],
        [
            numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "days"),
            numpy_helper.from_array(np.array(2, dtype=np.float32), "two"),
            numpy_helper.from_array(np.array(2, dtype=np.int64), "last"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(model)
    save(model, str(folder / "model.onnx"))
    manifest(folder, "onnx", ["model.onnx"], {})


def ensemble(folder: pathlib.Path) -> None:
    """Half of `linear`, half of `onnx`."""
    members = folder / "members"
    linear(members / "linear")
    onnx(members / "onnx")
    weights = {"volatility": 0.5, "direction": 0.5}
    files = [str(path.relative_to(folder)) for path in sorted(members.rglob("*")) if path.is_file()]
    manifest(folder, "ensemble", files, {"members": {"linear": weights, "onnx": weights}})


if __name__ == "__main__":
    root = pathlib.Path(sys.argv[1])
    for make in (linear, lightgbm, onnx, ensemble):
        make(root / make.__name__)
