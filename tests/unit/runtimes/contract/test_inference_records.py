"""A step's record is read as the protocol's own messages write it."""

import pytest

from runtimes.contract import inference
from tests.conformance import open_inference


@pytest.mark.parametrize(
    ("kind", "field"), [("ModelInferRequest", "inputs"), ("ModelInferResponse", "outputs")]
)
def test_a_request_and_an_answer_are_read_alike(kind, field):
    written = open_inference.messages[kind](id="1")
    numbers = getattr(written, field).add(name="interval", datatype="FP64", shape=[1, 2])
    numbers.contents.fp64_contents.extend([0.125, -3.5])
    counts = getattr(written, field).add(name="rows", datatype="INT32", shape=[1])
    counts.contents.int_contents.append(0)
    read = inference.tensors(written.SerializeToString())
    assert read["interval"] == inference.Tensor("FP64", (1, 2), [0.125, -3.5])
    assert read["rows"].data == [0]


def test_what_is_no_message_is_refused():
    with pytest.raises(inference.InvalidMessage, match="no message"):
        inference.tensors(b"\xff\xff\xff")


def test_a_tensor_whose_values_do_not_fill_its_shape_is_refused():
    written = open_inference.messages["ModelInferResponse"]()
    short = written.outputs.add(name="features", datatype="FP64", shape=[1, 3])
    short.contents.fp64_contents.append(1.0)
    with pytest.raises(inference.InvalidMessage, match=r"'features'.*1 values"):
        inference.tensors(written.SerializeToString())
