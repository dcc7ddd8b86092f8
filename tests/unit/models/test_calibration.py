import numpy as np
import pytest

from models import calibration


def errors(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors whose size grows with the feature that is to widen the interval."""
    random = np.random.default_rng(seed)
    column = random.uniform(0.5, 3.0, rows)
    return column[:, None], 0.2 * column * random.standard_normal(rows)


def test_an_interval_contains_as_many_new_errors_as_it_says() -> None:
    rule = calibration.learn((calibration.FEATURE,), *errors(20_000, seed=1))
    column, fresh = errors(20_000, seed=2)
    scaled = fresh / rule.scale(column[:, 0])
    inside = (scaled >= rule.lower) & (scaled <= rule.upper)
    assert inside.mean() == pytest.approx(calibration.LEVEL, abs=0.01)


def test_an_interval_is_as_good_where_errors_are_small_as_where_they_are_large() -> None:
    rule = calibration.learn((calibration.FEATURE,), *errors(20_000, seed=1))
    column, fresh = errors(20_000, seed=2)
    scaled = fresh / rule.scale(column[:, 0])
    inside = (scaled >= rule.lower) & (scaled <= rule.upper)
    for chosen in (column[:, 0] < 1.0, column[:, 0] > 2.5):
        assert inside[chosen].mean() == pytest.approx(calibration.LEVEL, abs=0.03)


def test_errors_that_shrink_with_the_feature_give_one_width() -> None:
    column, _ = errors(5_000, seed=1)
    fresh = np.random.default_rng(0).standard_normal(5_000) / column[:, 0]
    assert calibration.learn((calibration.FEATURE,), column, fresh).slope == 0.0
