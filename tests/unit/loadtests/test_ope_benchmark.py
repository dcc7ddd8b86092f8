"""The digits protocol, one run of it, and what the benchmark makes of runs."""

import json
import os
import pathlib
import subprocess

import pytest

from loadtests.benchmarks import ope

ROOT = pathlib.Path(__file__).parents[3]


def test_a_run_of_the_protocol_comes_near_to_the_truth() -> None:
    python = os.environ.get("BELLWETHER_SERVING_PYTHON")
    if not python:
        pytest.fail("BELLWETHER_SERVING_PYTHON is not set; `make test` sets it", pytrace=False)
    done = subprocess.run(
        [python, "-m", "loadtests.ope_digits"],
        input=json.dumps({"run": 3}) + "\n",
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    ready, one = (json.loads(line) for line in done.stdout.splitlines())
    assert ready == {}
    assert one["rows"] == 1258
    assert one["own"]["dr"] < 0.06
    assert 0.3 < one["example"]["dm"] < 0.5, "the example's reward model is weak on purpose"
    # Neither looks at predictions.
    for name in ("ips", "snips"):
        assert one["own"][name] == one["example"][name]


def test_errors_are_means_beside_the_published_ones() -> None:
    def run(error: float, held: bool) -> dict[str, object]:
        names = dict.fromkeys(ope.PUBLISHED, error)
        return {
            "own": names,
            "example": dict.fromkeys(ope.PUBLISHED, 0.5),
            "held": dict.fromkeys(ope.PUBLISHED, held),
            "effective_sample_size": 400.0,
            "rows": 1258,
        }

    document = ope.result([run(0.01, True), run(0.05, False)]).document
    found = document["estimators"]["ips"]
    assert found["error"] == pytest.approx(0.03)
    assert found["standard_error"] == pytest.approx(0.02)
    assert found["at_most_published"]
    assert not document["estimators"]["dr"]["at_most_published"]
    assert found["interval_held"] == 0.5
    assert document["runs"] == 2
