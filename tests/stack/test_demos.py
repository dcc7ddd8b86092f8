"""The demos as a person runs them, against the environment of the stack `test`."""

import json
import os
import subprocess
import sys

import pytest

from infra import paths
from tests.stack.conftest import HOME

pytestmark = pytest.mark.stack


def demo(name, *options):
    answer = subprocess.run(
        [sys.executable, paths.ROOT / "scripts" / f"{name}-demo.py", "--json", *options],
        cwd=paths.ROOT,
        env={**os.environ, "BELLWETHER_HOME": str(HOME), "BELLWETHER_STACK": "test"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def is_picture(path):
    return path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("market", "days"), [("volatile", 146), ("bull", 251)])
def test_every_day_is_routed_as_the_definition_of_regimes_says(up, tmp_path, market, days):
    picture = tmp_path / "routing.png"
    found = demo(
        "contextual-routing", "--market-conditions", market, "--duration", "20s",
        "--picture", str(picture),
    )  # fmt: skip
    assert found["days"] == found["of_days"] == days
    assert found["branch_equals_direct_calculation_days"] == days
    assert found["models_were_fitted_on_these_days"]
    assert is_picture(picture)


def test_bars_are_seen_at_once_quality_falls_in_a_hold_and_the_store_is_put_back(up, tmp_path):
    before = {row["symbol"]: row["date"] for row in demo("feature-store")["rows"]}
    picture = tmp_path / "store.png"
    found = demo("feature-store", "--realtime", "--duration", "15s", "--picture", str(picture))
    assert found["bars"] > 0
    assert found["latency_ms"]["count"] > 0.9 * found["bars"]
    assert found["lowest_quality"]["while_held"] < 0.8
    assert found["lowest_quality"]["at_the_end"] > 0.9
    assert found["feature_monitoring_records"] > 0
    assert is_picture(picture)
    after = {row["symbol"]: row["date"] for row in demo("feature-store")["rows"]}
    assert after == before


def test_contributions_of_every_day_add_up_to_the_served_forecast(up, tmp_path):
    picture = tmp_path / "shap.png"
    found = demo(
        "explainability", "--method", "shap", "--duration", "8s", "--picture", str(picture)
    )
    assert found["days"] > 2
    assert found["largest_relative_gap"] < 1e-6
    assert is_picture(picture)


def test_a_line_near_each_day_comes_with_its_fidelity(up, tmp_path):
    picture = tmp_path / "lime.png"
    found = demo(
        "explainability", "--method", "lime", "--duration", "8s", "--picture", str(picture)
    )
    assert 0 < found["r_squared"]["lowest"] <= found["r_squared"]["median"] <= 1
    assert is_picture(picture)


def test_the_deployed_model_flips_on_every_counterfactual_that_is_given(up, tmp_path):
    picture = tmp_path / "counterfactual.png"
    found = demo(
        "explainability", "--method", "counterfactual", "--duration", "10s",
        "--picture", str(picture),
    )["counterfactuals"]  # fmt: skip
    assert found["confirmed"] == found["found"] > 0
    assert is_picture(picture)
