"""Confidence, position and rules, as pure functions."""

import dataclasses
import itertools
import math
import pathlib
from typing import Any

import pytest
import small_calibration

from runtimes.decision import calibration, rules

KNOWN = calibration.Calibration.model_validate(small_calibration.CALIBRATION)
GIVEN = rules.Limits()

QUIET = rules.Forecast(
    symbol="SPX",
    volatility=0.2,
    lower=0.15,
    upper=0.15 * math.e,
    model="robust-predictor",
    artifact="sha256-aa",
    regime="calm",
    quality_score=1.0,
    anomaly_score=0.4,
    drift_score=0.2,
    fallback=None,
)
"""Its interval's width is 1, so that the width counts nothing."""

SURE = 1 / (1 + math.exp(-(1.0 + 0.25 + 0.05)))


def decide(**changes: Any) -> rules.Decision:
    return rules.decide(dataclasses.replace(QUIET, **changes), KNOWN, GIVEN)


def names(decision: rules.Decision) -> list[str]:
    return [fired.name for fired in decision.fired]


def test_a_quiet_day_has_the_calibrated_confidence_and_the_targeted_position() -> None:
    decision = decide()
    assert decision.confidence == pytest.approx(SURE, rel=1e-12)
    assert decision.position == pytest.approx(0.1 / 0.2, rel=1e-12)
    assert decision.fired == ()


def test_a_wider_interval_is_never_surer() -> None:
    sure = [
        decide(upper=QUIET.lower * math.exp(width)).confidence
        for width in (0.1, 0.5, 0.7, 1.0, 1.5, 2.0, 2.5, 5.0)
    ]
    assert sure == sorted(sure, reverse=True)
    assert sure[0] == sure[1], "a narrower interval than was ever seen is as sure as the narrowest"
    assert sure[-1] < 0.5 * sure[-3], "and a wider one less sure than the widest"


def test_regime_and_model_have_their_own_confidence() -> None:
    assert decide(regime="volatile").confidence < decide(regime="rising").confidence < SURE
    baseline = decide(model="baseline-predictor", artifact="sha256-cc").confidence
    assert baseline == pytest.approx(1 / (1 + math.exp(-1.2)), rel=1e-12)


def test_an_artifact_may_be_named_by_its_manifest() -> None:
    assert decide(artifact="manifest-sha256-bb") == decide()


@pytest.mark.parametrize(
    ("model", "artifact"), [("robust-predictor", "sha256-new"), ("new-predictor", "sha256-aa")]
)
def test_a_model_that_was_not_calibrated_is_as_sure_as_the_least_sure(
    model: str, artifact: str
) -> None:
    decision = decide(model=model, artifact=artifact)
    assert decision.confidence == pytest.approx(1 / (1 + math.exp(-1.2)), rel=1e-12)
    (fired,) = decision.fired
    assert (fired.name, fired.of) == ("uncalibrated_model", "confidence")
    assert model in fired.reason
    assert artifact in fired.reason


@pytest.mark.parametrize(
    ("changes", "name", "factor"),
    [
        ({"symbol": "GOLD"}, "unseen_symbol", 0.75),
        ({"quality_score": 0.9}, "low_quality", 0.9),
        ({"anomaly_score": 0.6}, "unusual", 0.9),
        ({"anomaly_score": 0.9}, "unusual", 0.6),
        ({"drift_score": 0.75}, "drifted", 0.75),
    ],
)
def test_what_training_never_saw_lowers_the_confidence_by_a_named_rule(
    changes: dict[str, Any], name: str, factor: float
) -> None:
    decision = decide(**changes)
    assert decision.confidence == pytest.approx(factor * SURE, rel=1e-12)
    fired = decision.fired[0]
    assert (fired.name, fired.of) == (name, "confidence")
    assert fired.before == pytest.approx(SURE)
    assert fired.after == decision.confidence
    assert f"{next(iter(changes.values()))}" in fired.reason


def test_the_borders_of_what_is_usual_lower_nothing() -> None:
    assert decide(anomaly_score=0.5, drift_score=0.5) == decide()


@pytest.mark.parametrize(("volatility", "ratio"), [(3.0, 0.5), (0.01, 0.2)])
def test_a_volatility_beyond_what_was_seen_lowers_the_confidence_by_its_ratio(
    volatility: float, ratio: float
) -> None:
    decision = decide(volatility=volatility)
    assert decision.confidence == pytest.approx(ratio * SURE, rel=1e-12)
    assert "beyond_training" in names(decision)


def test_doubts_add_up_one_after_the_other() -> None:
    decision = decide(quality_score=0.9, anomaly_score=0.6, drift_score=0.75)
    about = [fired for fired in decision.fired if fired.of == "confidence"]
    assert [fired.name for fired in about] == ["low_quality", "unusual", "drifted"]
    assert decision.confidence == pytest.approx(0.9 * 0.9 * 0.75 * SURE, rel=1e-12)
    for earlier, later in itertools.pairwise(about):
        assert later.before == earlier.after


def test_a_calm_market_gets_no_more_than_the_largest_position() -> None:
    decision = rules.decide(
        dataclasses.replace(QUIET, volatility=0.08), KNOWN, rules.Limits(largest_position=0.6)
    )
    (fired,) = decision.fired
    assert (fired.name, fired.of, fired.after) == ("largest_position", "position", 0.6)
    assert fired.before == pytest.approx(1.25)
    assert decision.position == 0.6


def test_below_the_minimum_confidence_there_is_no_position() -> None:
    decision = decide(quality_score=0.5)
    assert decision.confidence < 0.5
    assert (decision.position, names(decision)) == (0.0, ["low_quality", "minimum_confidence"])
    at = rules.decide(QUIET, KNOWN, rules.Limits(minimum_confidence=decide().confidence))
    assert at.position == 0.5


@pytest.mark.parametrize("score", ["anomaly", "drift"])
def test_above_the_largest_score_there_is_no_position(score: str) -> None:
    given = rules.Limits(**{f"maximum_{score}": 0.6, "minimum_confidence": 0.0})
    beyond = rules.decide(dataclasses.replace(QUIET, **{f"{score}_score": 0.61}), KNOWN, given)
    assert beyond.position == 0.0
    assert names(beyond)[-1] == f"maximum_{score}"
    at = rules.decide(dataclasses.replace(QUIET, **{f"{score}_score": 0.6}), KNOWN, given)
    assert at.position == 0.5


@pytest.mark.parametrize("symbol", ["SPX", "spx"])
def test_a_blocked_symbol_gets_no_position(symbol: str) -> None:
    known = KNOWN.model_copy(update={"symbols": (symbol,)})
    limits = rules.Limits(blocked=frozenset({"WTI", "SPX"}))
    decision = rules.decide(dataclasses.replace(QUIET, symbol=symbol), known, limits)
    assert (decision.position, names(decision)) == (0.0, ["blocked_symbol"])
    assert symbol in decision.fired[0].reason


def test_every_rule_that_holds_is_named_even_if_another_one_was_enough() -> None:
    decision = rules.decide(
        dataclasses.replace(QUIET, volatility=0.08, quality_score=0.1),
        KNOWN,
        rules.Limits(blocked=frozenset({"SPX"})),
    )
    assert names(decision) == [
        "low_quality", "largest_position", "minimum_confidence", "blocked_symbol",
    ]  # fmt: skip
    assert decision.position == 0.0


def test_the_fallback_has_a_confidence_of_its_own_and_half_the_position_at_most() -> None:
    poor = {"quality_score": 0.1, "anomaly_score": 0.95, "drift_score": 0.95, "volatility": 0.15}
    decision = decide(fallback="quality 0.1", regime="fallback", model="fallback", **poor)
    assert decision.confidence == 0.55
    (fired,) = decision.fired
    assert fired.name == "fallback_position"
    assert "quality 0.1" in fired.reason
    assert fired.before == pytest.approx(0.1 / 0.15)
    assert decision.position == fired.after == 0.5
    small = decide(fallback="quality 0.1", regime="fallback", volatility=0.4)
    assert (small.position, names(small)) == (0.25, ["fallback_position"])


def test_no_position_is_ever_below_nothing_or_above_the_largest() -> None:
    for volatility in (0.005, 0.1, 1.0, 20.0):
        for confidence in (0.0, 1.0):
            given = rules.Limits(minimum_confidence=confidence, largest_position=0.8)
            position = rules.decide(
                dataclasses.replace(QUIET, volatility=volatility), KNOWN, given
            ).position
            assert 0 <= position <= 0.8


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"log_width": 0.5}, "log_width"),
        ({"fallback": 1.2}, "fallback"),
        ({"width": {"lowest": 2, "highest": 1}}, "width"),
        ({"schema": 2}, "schema 2, this decision reads 1"),
        ({"models": {}}, "models"),
        ({"more": 1}, "more"),
    ],
)
def test_a_damaged_calibration_says_what_and_how_to_mend_it(
    tmp_path: pathlib.Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(calibration.CalibrationError, match=words) as caught:
        calibration.load(small_calibration.write(tmp_path, **changes))
    assert "train" in str(caught.value)


def test_a_missing_calibration_says_who_writes_it(tmp_path: pathlib.Path) -> None:
    with pytest.raises(calibration.CalibrationError, match="`bellwether train` writes it"):
        calibration.load(tmp_path)
