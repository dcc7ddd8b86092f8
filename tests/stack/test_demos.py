"""The demos as a person runs them, against the environment of the stack `test`."""

import json
import os
import signal
import subprocess
import sys

import pytest

from bellwether.demos import own_policy
from infra import paths
from loadtests import bandit_parts
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


def own(mesh):
    """Name what a bandit's demo has made."""
    objects = [*mesh.items("BanditPolicy"), *mesh.items("Experiment")]
    names = [each["metadata"]["name"] for each in objects]
    assert "financial-mab-experiment" in names
    return [name for name in names if name.startswith("mab-demo")]


def test_an_interrupted_bandit_demo_takes_its_policy_away_too(up):
    running = subprocess.Popen(
        [sys.executable, paths.ROOT / "scripts" / "mab-demo.py", "--duration", "2m"],
        cwd=paths.ROOT,
        env={**os.environ, "BELLWETHER_HOME": str(HOME), "BELLWETHER_STACK": "test"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with own_policy.Mesh(up.endpoints()) as mesh:
            mine = f"-{running.pid}-"
            bandit_parts.until(
                lambda: sum(mine in name for name in own(mesh)) == 2 or None,
                "the demo has made both",
                200,
            )
            running.send_signal(signal.SIGINT)
            _, said = running.communicate(timeout=60)
            assert running.returncode, "it did not run to its end"
            assert "Traceback" not in said
            assert own(mesh) == []
    finally:
        running.kill()


@pytest.mark.parametrize("source", ["history", "synthetic"])
def test_weights_move_to_what_earns_and_the_demo_takes_its_policy_away(up, tmp_path, source):
    picture = tmp_path / "mab.png"
    found = demo(
        "mab", "--source", source, "--duration", "20s", "--speed", "60",
        "--picture", str(picture),
    )  # fmt: skip
    assert found["epochs"] >= 15
    assert found["rewards"]["acknowledged"] == found["requests"]
    assert found["rewards"]["learnt"] == found["requests"]
    assert sum(arm["share"] for arm in found["arms"]) == pytest.approx(1, abs=1e-3)
    assert any(arm["share"] != arm["fixed_share"] for arm in found["arms"])
    if source == "synthetic":
        assert found["made_up"]
        assert found["arms"][-1]["share"] > 0.5, "the last arm earns most after the switch"
        assert found["gain_over_fixed"]["value"] > 0
    assert is_picture(picture)
    with own_policy.Mesh(up.endpoints()) as mesh:
        assert own(mesh) == []
