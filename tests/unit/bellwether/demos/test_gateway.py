"""Asking through the gateway, and what is said when it does not work."""

import numpy as np
import pytest
import small_gateway

from bellwether import demos
from bellwether.demos import gateway


def test_tensors_and_route_come_back(tmp_path):
    def echo(tensors):
        return {"sum": tensors["x"].sum(axis=1), "who": tensors["symbol"]}, [
            ":a_1:",
            ":p.pipeline:",
        ]

    with (
        small_gateway.running(small_gateway.Gateway({"p.pipeline": echo})) as url,
        gateway.Gateway(url) as asked,
    ):
        answer = asked.pipeline("p", {"x": np.array([[1.0, 2.0]]), "symbol": ["SPX"]})
    assert answer.number("sum") == 3
    assert answer.text("who") == "SPX"
    assert answer.route == ("a", "p")
    with pytest.raises(demos.DemoError, match="no tensor 'price'; it has sum, who"):
        answer.number("price")
    with pytest.raises(demos.DemoError, match="holds texts"):
        answer.number("who")


def test_one_header_line_may_name_several_hops():
    assert gateway.route([":a-b_12::c_1:", ":p.pipeline:"]) == ("a-b", "c", "p")
    assert gateway.route([]) == ()


def test_a_refusal_names_target_status_and_reason():
    def refuse(tensors):
        raise small_gateway.Refusal(400, "symbol 'X' is unknown; known are SPX")

    with (
        small_gateway.running(small_gateway.Gateway({"m": refuse})) as url,
        gateway.Gateway(url) as asked,
        pytest.raises(gateway.Refused, match="m answers 400: symbol 'X' is unknown") as raised,
    ):
        asked.model("m", {"symbol": ["X"]})
    assert raised.value.status == 400
    assert "make up" not in str(raised.value)


def test_a_gateway_that_is_down_says_how_to_bring_it_up():
    with small_gateway.running(small_gateway.Gateway({})) as url:
        pass
    with gateway.Gateway(url) as asked, pytest.raises(demos.DemoError, match="make up"):
        asked.model("m", {"symbol": ["X"]})


def test_columns_come_with_their_units():
    parameters = {"columns": "a,b", "units": "0..1; points"}
    metadata = {"m": {"inputs": [{"name": "features", "parameters": parameters}]}}
    with (
        small_gateway.running(small_gateway.Gateway({}, metadata)) as url,
        gateway.Gateway(url) as asked,
    ):
        assert asked.columns("m", "features") == (("a", "0..1"), ("b", "points"))
        with pytest.raises(demos.DemoError, match="names no columns of 'history'"):
            asked.columns("m", "history")
