import types
from typing import Any

import numpy as np
import pytest

from runtimes.predictor import validation

SIGNATURE = validation.Signature(
    features=("rv_5", "rv_22", "return_1"), days=4, channels=("return", "range")
)


def tensor(name: str, shape: list[int], data: Any, datatype: str = "FP64") -> Any:
    return types.SimpleNamespace(name=name, shape=shape, datatype=datatype, data=data)


def features(rows: int = 1, **change: Any) -> Any:
    fields = {"shape": [rows, 3], "data": [float(value) for value in range(rows * 3)]}
    return tensor("features", **(fields | change))


def history(rows: int = 1, **change: Any) -> Any:
    fields = {"shape": [rows, 4, 2], "data": [float(value) for value in range(rows * 8)]}
    return tensor("history", **(fields | change))


def refused(*tensors: Any, max_rows: int = 8) -> validation.InvalidRequest:
    with pytest.raises(validation.InvalidRequest) as caught:
        validation.inputs(tensors, SIGNATURE, max_rows=max_rows)
    return caught.value


def test_flat_and_nested_data_give_the_same_arrays_in_either_order_of_tensors() -> None:
    flat = validation.inputs([features(2), history(2)], SIGNATURE, max_rows=8)
    nested = validation.inputs(
        [
            history(2, data=np.arange(16.0).reshape(2, 4, 2).tolist()),
            features(2, data=[[0, 1, 2], [3, 4, 5]]),
        ],
        SIGNATURE,
        max_rows=8,
    )
    for one, other in zip(flat, nested, strict=True):
        assert one.dtype == other.dtype == np.float64
        assert np.array_equal(one, other)
    assert flat[0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert flat[1][1, 0].tolist() == [8, 9]


def test_a_single_precision_tensor_is_rounded_to_single_precision() -> None:
    given, _ = validation.inputs(
        [features(datatype="FP32", data=[0.1, 0.2, 0.3]), history()], SIGNATURE, max_rows=8
    )
    assert given.dtype == np.float32
    assert given[0, 0] == np.float32(0.1)


@pytest.mark.parametrize(
    ("tensors", "reason", "words"),
    [
        ([features()], "missing_tensor", ["'history' is missing", "got 'features'"]),
        ([], "missing_tensor", ["'features' is missing", "no tensor at all"]),
        (
            [tensor("feature", [1, 3], [1.0] * 3), history()],
            "unknown_tensor",
            ["'feature' is unknown", "did you mean 'features'?"],
        ),
        ([features(), features(), history()], "duplicate_tensor", ["'features' came twice"]),
        ([features(datatype="INT64"), history()], "datatype", ["FP32 or FP64, got INT64"]),
        ([features(datatype="BYTES"), history()], "datatype", ["FP32 or FP64, got BYTES"]),
        ([features(shape=[3]), history()], "shape", ["'features'", "[n, 3]", "got [3]"]),
        ([features(shape=[]), history()], "shape", ["'features'", "[n, 3]", "got []"]),
        ([features(shape=[1, 4]), history()], "shape", ["[n, 3]", "got [1, 4]"]),
        ([features(shape=[-1, 3]), history()], "shape", ["[n, 3]", "got [-1, 3]"]),
        (
            [features(), history(shape=[1, 2, 4])],
            "shape",
            ["'history'", "[n, 4, 2]", "got [1, 2, 4]", "return, range"],
        ),
        (
            [features(2), history(3)],
            "shape",
            ["number of rows n", "'features' has 2", "'history' has 3"],
        ),
        ([features(data=[1.0, 2.0]), history()], "shape", ["holds 3 values, got 2"]),
        ([features(data=[]), history()], "shape", ["holds 3 values, got 0"]),
        (
            [features(2, data=[[1.0, 2.0, 3.0], [4.0, 5.0]]), history(2)],
            "shape",
            ["lists of 3 at depth 1", "a list of 2"],
        ),
        (
            [features(2, data=[[1.0, 2.0, 3.0], 4.0]), history(2)],
            "shape",
            ["lists of 3 at depth 1", "got float"],
        ),
        ([features(data="0,1,2"), history()], "data", ["a list of numbers, got str"]),
        (
            [features(data=[0.0, "1.0", 2.0]), history()],
            "data",
            ["row 0, feature 'rv_22'", "str '1.0'"],
        ),
        ([features(data=[0.0, True, 2.0]), history()], "data", ["feature 'rv_22'", "bool 'True'"]),
        (
            [features(2, data=[0.0, 1, 2, 3, 4, None]), history(2)],
            "not_finite",
            ["null", "row 1, feature 'return_1' (column 2)"],
        ),
        (
            [features(), history(data=[0.0] * 7 + [float("nan")])],
            "not_finite",
            ["nan at row 0, day 3 of 0..3, channel 'range'"],
        ),
        (
            [features(data=[float("inf"), 0.0, float("-inf")]), history()],
            "not_finite",
            ["inf at row 0, feature 'rv_5'", "-inf at row 0, feature 'return_1'"],
        ),
        (
            [features(), history(data=[float("nan")] * 8)],
            "not_finite",
            ["day 0", "day 1", "and 5 more"],
        ),
        (
            [features(data=[1e300, 0.0, 0.0], datatype="FP32"), history()],
            "not_finite",
            ["1e+300 at row 0, feature 'rv_5'", "beyond FP32", "send FP64"],
        ),
        ([features(0), history(0)], "empty_batch", ["'features'", "batch is empty"]),
        ([features(9), history(9)], "too_many_rows", ["at most 8 rows, got 9", "split"]),
    ],
)
def test_a_wrong_request_is_refused_with_its_reason_and_place(
    tensors: list[Any], reason: str, words: list[str]
) -> None:
    error = refused(*tensors)
    assert error.reason == reason
    for word in words:
        assert word in str(error)


def test_as_many_rows_as_are_allowed_are_taken() -> None:
    given, _ = validation.inputs([features(8), history(8)], SIGNATURE, max_rows=8)
    assert given.shape == (8, 3)


@pytest.mark.parametrize("requested", [None, [], ()])
def test_all_outputs_are_answered_if_none_is_asked_for(requested: Any) -> None:
    expected = ("volatility", "direction", "interval", "model")
    assert validation.outputs(requested) == expected


def test_outputs_keep_the_order_that_was_asked_for() -> None:
    assert validation.outputs(["interval", "volatility"]) == ("interval", "volatility")


@pytest.mark.parametrize(
    ("requested", "words"),
    [
        (["volatility", "volatilty"], ["'volatilty' is unknown", "did you mean 'volatility'?"]),
        (["direction", "direction"], ["name one twice"]),
    ],
)
def test_an_output_that_cannot_be_answered_is_refused(
    requested: list[str], words: list[str]
) -> None:
    with pytest.raises(validation.InvalidRequest) as caught:
        validation.outputs(requested)
    assert caught.value.reason == "unknown_output"
    for word in words:
        assert word in str(caught.value)
