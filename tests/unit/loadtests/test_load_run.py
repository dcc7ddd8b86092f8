"""`bellwether load` with a real Locust against the small platform."""

import json
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest
import small_platform

from bellwether import load
from loadtests import endpoints, headless, plan, thresholds


def order(journey: str = "mixed", **change: Any) -> headless.Order:
    fields: dict[str, Any] = {
        "journey": thresholds.Journey(journey),
        "users": 6,
        "seconds": 5,
        "rate": 10.0,
        "stack": "local",
        "experiment": small_platform.EXPERIMENT,
    }
    return headless.Order(**fields | change)


def test_a_load_test_leaves_its_reports_and_prints_its_summary(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    platform = small_platform.Platform()
    with small_platform.running(platform) as where:
        load.run(where, order(), tmp_path, as_json=True)
    document = json.loads(capsys.readouterr().out)
    folder = pathlib.Path(document["folder"])
    assert re.fullmatch(r"\d{8}-\d{6}-mixed", folder.name)
    assert document["holds"]
    models, experiment = document["parts"]
    # 3 users at 10 requests/s for 5 s each: 150
    for part in (models, experiment):
        assert part["failed"] == 0
        assert 130 < part["requests"] < 165
    assert set(models["arms"]) == {name for name, _ in small_platform.WEIGHTS}
    shares = {arm: share for arm, share, _ in document["split"]["arms"]}
    assert shares == {"one-predictor": 0.5, "two-predictor": 0.3, "three-predictor": 0.2}
    assert document["split"]["p_value"] > 0.9  # the small platform gives each its turn
    asked_before = 4  # each model and the experiment once, before Locust
    assert platform.asked == models["requests"] + experiment["requests"] + asked_before
    # sending the route back would fix the arm
    assert all("x-seldon-route" not in headers for headers in platform.headers)
    for name in ("report.html", "locust_stats.csv", "locust_stats_history.csv", "locust.json"):
        assert (folder / name).stat().st_size > 0, name
    assert (folder / "load.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "summary.md").read_text()
    assert "All thresholds hold." in page
    assert "| one-predictor | 50.0% |" in page
    assert "χ²" in page


def test_wrong_answers_fail_the_test_and_are_named(tmp_path: pathlib.Path) -> None:
    def spoil(number: int, document: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if number > 10 and number % 5 == 0:
            document["outputs"][0]["data"] = [-1.0]
        if number > 10 and number % 5 == 1:
            return 503, {}
        return 200, document

    platform = small_platform.Platform(spoil=spoil)
    with (
        small_platform.running(platform) as where,
        pytest.raises(load.ThresholdsBrokenError, match=r"models: error rate is 0\.[34]") as caught,
    ):
        load.run(where, order("models"), tmp_path, as_json=True)
    assert "it has to be at most 0.0000" in str(caught.value)
    (folder,) = tmp_path.iterdir()
    page = (folder / "summary.md").read_text()
    assert "WrongAnswer" not in page
    assert "status 503" in page
    assert "volatility is not positive" in page
    assert "exit code 1" in (folder / "locust.log").read_text()


def test_locust_by_itself_ends_with_the_verdict_of_the_thresholds(tmp_path: pathlib.Path) -> None:
    platform = small_platform.Platform(gateway_delay=0.2)  # slower than any threshold
    with small_platform.running(platform) as where:
        made = headless.prepare(where, order("experiment"), tmp_path)
        finished = subprocess.run(
            headless.command(made),
            env={plan.VARIABLE: str(made.folder / "plan.json"), "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
    assert finished.returncode == 1, finished.stderr
    document = json.loads(made.summary.read_text())
    assert document["parts"][0]["failed"] == 0
    assert [sentence.split(" is ")[0] for sentence in document["broken"]] == [
        "experiment: p50, ms",
        "experiment: p95, ms",
        "experiment: p99, ms",
        "experiment: requests/s",  # a user waits for its answer, 0.2 s, and asks 5 times a second
    ]


def test_locust_without_a_plan_says_how_to_start_it() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(headless.LOCUSTFILE), "--headless"],
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode != 0
    assert "start load tests by `bellwether load`" in finished.stderr


def test_a_locust_that_dies_is_told_with_the_end_of_its_log(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_platform.running(small_platform.Platform()) as where:
        made = headless.prepare(where, order("experiment"), tmp_path)
        made.requests.unlink()
        with pytest.raises(endpoints.LoadTestError, match="no summary") as caught:
            headless.run(made, lambda _: None)
    assert "requests.jsonl" in str(caught.value)


def nobody() -> endpoints.Endpoints:
    return endpoints.Endpoints("http://127.0.0.1:1", "http://127.0.0.1:1", "", "test")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"users": 1}, "at least 2"),
        ({"users": 0, "journey": thresholds.Journey.MODELS}, "at least 1"),
        ({"rate": 0.0}, "give more than 0"),
        ({"rate": 2000.0}, "at most 1000"),
        ({"stack": "moon"}, "'moon'"),
        ({}, "mesh does not answer at http://127.0.0.1:1"),
        ({"objects": False}, "name them with --model"),
        ({"objects": False, "models": ("a",)}, "nothing answers at 127.0.0.1:1"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_starts(
    tmp_path: pathlib.Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(endpoints.LoadTestError, match=re.escape(words)):
        load.run(nobody(), order(**change), tmp_path, as_json=True)
    assert not list(tmp_path.iterdir())


def test_an_experiment_that_is_not_there_is_named(tmp_path: pathlib.Path) -> None:
    with (
        small_platform.running(small_platform.Platform()) as where,
        pytest.raises(endpoints.LoadTestError, match=r"other\.experiment.*answers 404"),
    ):
        load.run(
            where,
            order("experiment", experiment="other", objects=False),
            tmp_path,
            as_json=True,
        )


def test_an_unknown_journey_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(endpoints.LoadTestError, match="models, experiment, mixed"):
        load.journey("world")
