"""Another today, computed from a request, is what the features of another bar are."""

import importlib.util
import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models import dataset, features
from models.steps.explanations import build
from runtimes import contract
from runtimes.explainer import bundle, scenario
from runtimes.features import definitions as feature_definitions

NAMES = tuple(column.name for column in features.FEATURES)
APPROXIMATE = {"true_range_1d": 0.35, "rsi_14d": 0.5}
"""Absolute tolerances of what is said to be an approximation: deviations, and points of 100."""


def load_market() -> Any:
    """The models' tests' conftest, by its path: `conftest` names this folder's own."""
    path = pathlib.Path(__file__).parents[2] / "models" / "conftest.py"
    spec = importlib.util.spec_from_file_location("market_of_the_models_tests", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    return load_market().simulated(("AAA", "BBB", "CCC"), days=420)


@pytest.fixture(scope="module")
def definitions(frames) -> bundle.Definitions:
    return bundle.Definitions.model_validate(build.definitions(dataset.build(frames)))


def last_day(frames: dict[str, pd.DataFrame], symbol: str) -> tuple[np.ndarray, np.ndarray]:
    data = dataset.build(frames)
    rows = data.of(symbol)[-1:]
    return data.features[rows], data.history(rows)


def other_bar(
    frames: dict[str, pd.DataFrame], symbol: str, move: float, widen: float
) -> dict[str, pd.DataFrame]:
    """The last bar of `symbol` closes `move` higher, and ranges `widen` times as far from it."""
    bars = frames[symbol].copy()
    last = bars.index[-1]
    opening, close = bars.loc[last, "open"], bars.loc[last, "close"] * np.exp(move)
    high, low = max(opening, close), min(opening, close)
    above = np.log(bars.loc[last, "high"] / max(opening, bars.loc[last, "close"]))
    below = np.log(bars.loc[last, "low"] / min(opening, bars.loc[last, "close"]))
    bars.loc[last, "close"] = close
    bars.loc[last, "high"] = high * np.exp(widen * above)
    bars.loc[last, "low"] = low * np.exp(widen * below)
    if symbol == "CCC":
        # Closes alone are known of it.
        bars.loc[last, ["open", "high", "low"]] = close
    return {**frames, symbol: bars}


CHANGES = [(0.0, 1.5), (0.012, 1.0), (-0.02, 2.0), (-0.004, 0.6)]


@pytest.mark.parametrize(
    ("symbol", "move", "widen"),
    [
        *((symbol, *change) for symbol in ("AAA", "BBB") for change in CHANGES),
        # A close-only series has no range to widen.
        *(("CCC", move, 1.0) for move, _ in CHANGES if move),
    ],
)
def test_a_scenario_computes_what_the_features_of_another_bar_are(
    symbol, move, widen, frames, definitions
):
    values, history = last_day(frames, symbol)
    changed = other_bar(frames, symbol, move, widen)
    expected, past = last_day(changed, symbol)
    day = scenario.Day(values[0], history[0], NAMES, definitions)
    choices = np.array([[past[0, -1, 0], past[0, -1, 1], 0.0]])
    np.testing.assert_allclose(day.possible(choices), choices, rtol=1e-9)
    made, made_past = day.rows(choices)
    np.testing.assert_allclose(made_past, past, rtol=1e-9, atol=1e-12)
    for name, value, wanted in zip(NAMES, made[0], expected[0], strict=True):
        tolerance = APPROXIMATE.get(name, 2e-6)
        assert value == pytest.approx(wanted, rel=2e-6, abs=tolerance), name


def test_today_as_it_was_changes_nothing(frames, definitions):
    values, history = last_day(frames, "AAA")
    day = scenario.Day(values[0], history[0], NAMES, definitions)
    choices = day.possible(day.actual[None])
    made, past = day.rows(choices)
    np.testing.assert_array_equal(made, values)
    np.testing.assert_array_equal(past, history)


def test_only_other_markets_move_market_tension_alone(frames, definitions):
    values, history = last_day(frames, "BBB")
    day = scenario.Day(values[0], history[0], NAMES, definitions)
    made, past = day.rows(day.possible(day.actual[None] + [[0.0, 0.0, 0.7]]))
    moved = {name for name, old, new in zip(NAMES, values[0], made[0], strict=True) if old != new}
    assert moved == {"market_tension"}
    np.testing.assert_array_equal(past, history)


def test_a_day_cannot_move_farther_than_it_ranges(frames, definitions):
    values, history = last_day(frames, "AAA")
    day = scenario.Day(values[0], history[0], NAMES, definitions)
    narrow = np.array([[0.05, np.log(contract.TRADING_DAYS * 1e-6), 0.0]])
    (possible,) = day.possible(narrow)
    # The narrowest day of such a move: g of it overnight, the rest from open to close, no shadows.
    share = np.linspace(0, 1, 100_001)
    least = (share**2 + (0.5 - (2 * np.log(2) - 1)) * (1 - share) ** 2).min() * 0.05**2
    assert np.exp(possible[1]) / contract.TRADING_DAYS == pytest.approx(least, rel=1e-6)


def test_every_feature_says_what_becomes_of_it_and_why(definitions):
    assert set(definitions.changes) == set(NAMES)
    assert all(change.reason for change in definitions.changes.values())
    held = {name for name, change in definitions.changes.items() if change.rule == build.HELD}
    assert held == {"volume_score_22d"}
    assert set(scenario.FORMULAS) == set(NAMES) - held


def test_a_new_feature_without_a_rule_is_held(frames, monkeypatch):
    odd = feature_definitions.Feature(
        "odd_1d", "1", "new", 2 * feature_definitions.RETURNS, -1, 1, model=True
    )
    monkeypatch.setattr(features, "FEATURES", (*features.FEATURES, odd))
    made = build.definitions(dataset.build(frames))
    assert made["changes"]["odd_1d"]["rule"] == build.HELD
    assert made["changes"]["odd_1d"]["reason"] == build.UNRULED[1]


def test_nothing_is_observed_beyond_what_training_saw(frames, definitions):
    values, history = last_day(frames, "AAA")
    day = scenario.Day(values[0], history[0], NAMES, definitions)
    at = NAMES.index("market_tension")
    rows = np.repeat(values, 3, axis=0)
    rows[1, at] = definitions.changes["market_tension"].most
    rows[2, at] = definitions.changes["market_tension"].most + 0.01
    assert day.observed(rows).tolist() == [True, True, False]
