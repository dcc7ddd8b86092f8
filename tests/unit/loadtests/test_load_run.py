"""`bellwether load` with a real Locust against the small platform."""

import contextlib
import dataclasses
import json
import pathlib
import re
import ssl
import subprocess
import sys
from typing import Any

import pytest
import small_platform

from bellwether import load
from loadtests import access, baseline, course, endpoints, headless, itinerary, plan


def order(journey: str = "mixed", **change: Any) -> headless.Order:
    fields: dict[str, Any] = {
        "journey": itinerary.Journey(journey),
        "users": 6,
        "seconds": 5,
        "rate": 10.0,
        "stack": "local",
        "experiment": small_platform.EXPERIMENT,
        "pipeline": small_platform.PIPELINE,
        "explainer": small_platform.EXPLAINER,
        "reward": small_platform.REWARD,
    }
    return headless.Order(**fields | change)


def test_a_load_test_leaves_its_reports_and_prints_its_summary(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    platform = small_platform.Platform()
    with small_platform.running(platform) as where:
        load.run(where, order(users=10), tmp_path, as_json=True)
    document = json.loads(capsys.readouterr().out)
    folder = pathlib.Path(document["folder"])
    assert re.fullmatch(r"\d{8}-\d{6}-mixed-steady-rest", folder.name)
    assert document["holds"]
    parts = {part["journey"]: part for part in document["parts"]}
    assert list(parts) == ["model", "experiment", "pipeline", "explanation", "reward"]
    # Users times rate times 5 s: 2, 4, 2, 1, 1 users at 10, 10, 5, 1, 5 requests/s.
    for name, due in (("model", 100), ("experiment", 200), ("pipeline", 50), ("reward", 25)):
        assert parts[name]["failed"] == 0
        assert 0.8 * due < parts[name]["requests"] < 1.15 * due
    assert parts["explanation"]["requests"] > 1
    assert set(parts["model"]["arms"]) == {name for name, _ in small_platform.WEIGHTS}
    assert parts["explanation"]["arms"].keys() == {"one-predictor"}
    shares = {arm: share for arm, share, _ in document["split"]["arms"]}
    assert shares == {"one-predictor": 0.5, "two-predictor": 0.3, "three-predictor": 0.2}
    assert document["split"]["p_value"] > 0.01
    # sending the route back would fix the arm
    assert all("x-seldon-route" not in headers for headers in platform.headers)
    rewarded = [each for each in platform.rewarded if each[0].startswith("request-")]
    assert len(rewarded) == parts["reward"]["requests"]
    assert len({identity for identity, _ in rewarded}) == len(rewarded)
    assert {identity for identity, _ in rewarded} <= set(platform.given)
    assert {metric for _, metric in rewarded} == {"load_test"}
    for name in ("report.html", "locust.html", "locust_stats.csv", "locust.json", "comment.md"):
        assert (folder / name).stat().st_size > 0, name
    assert (folder / "load.png").read_bytes().startswith(b"\x89PNG")
    assert document["comment"] == (folder / "comment.md").read_text()
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
        pytest.raises(load.ThresholdsBrokenError, match=r"model: error rate is 0\.[34]") as caught,
    ):
        load.run(where, order("model"), tmp_path, as_json=True)
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
        made.requests(plan.Kind.FORECAST).unlink()
        with pytest.raises(endpoints.LoadTestError, match="no summary") as caught:
            headless.run(made, lambda _: None)
    assert "requests-forecast" in str(caught.value)


def nobody() -> endpoints.Endpoints:
    return endpoints.Endpoints("http://127.0.0.1:1", "http://127.0.0.1:1", "", "test")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"users": 9}, "at least 10"),
        ({"users": 0, "journey": itinerary.Journey.MODEL}, "at least 1"),
        ({"rate": 0.0}, "give more than 0"),
        ({"rate": 2000.0}, "at most 1000"),
        ({"stack": "moon"}, "'moon'"),
        ({}, "mesh does not answer at http://127.0.0.1:1"),
        ({"objects": False}, "name them with --model"),
        ({"objects": False, "models": ("a",)}, "nothing answers at 127.0.0.1:1"),
        (
            {"objects": False, "models": ("a",), "protocol": itinerary.Protocol.GRPC},
            "nothing answers at 127.0.0.1:1",
        ),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_starts(
    tmp_path: pathlib.Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(endpoints.LoadTestError, match=re.escape(words)):
        load.run(nobody(), order(**{"users": 10} | change), tmp_path, as_json=True)
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
    with pytest.raises(
        endpoints.LoadTestError, match="model, experiment, pipeline, explanation, reward, mixed"
    ):
        load.journey("world")


def test_the_journey_that_was_called_models_is_still_known() -> None:
    assert load.journey("models") is itinerary.Journey.MODEL


def test_users_come_and_go_as_the_shape_says(tmp_path: pathlib.Path) -> None:
    with small_platform.running(small_platform.Platform()) as where:
        wanted = order("model", users=8, seconds=10, shape=course.Shape.SPIKE)
        made = headless.prepare(where, wanted, tmp_path)
        came_out = headless.run(made, lambda _: None)
    assert came_out.parts[0].peak_p99_ms is not None
    due = [line.split(",") for line in made.due.read_text().splitlines()[1:]]
    by_second = {int(second): int(count) for second, _, count in due}
    # Two users at 10 requests/s, and eight in the middle fifth; Locust looks once a second.
    assert by_second[2] < 35
    assert by_second[5] > 50
    assert by_second[8] < 35


def test_the_same_over_grpc(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(access.TOKEN, "t0ken")
    platform = small_platform.Platform(token="t0ken")  # noqa: S106
    wanted = order(
        users=10,
        protocol=itinerary.Protocol.GRPC,
        objects=False,
        models=("one-predictor", "two-predictor"),
    )
    with small_platform.running_grpc(platform) as where:
        made = headless.prepare(where, wanted, tmp_path)
        came_out = headless.run(made, lambda _: None)
    parts = {part.journey: part for part in came_out.parts}
    assert list(parts) == ["model", "experiment", "pipeline", "explanation", "reward"]
    assert all(part.requests and not part.failed for part in parts.values())
    assert set(parts["model"].arms) == {"one-predictor", "two-predictor"}
    assert {metric for _, metric in platform.rewarded} == {"load_test"}
    for file in made.folder.iterdir():
        assert b"t0ken" not in file.read_bytes(), file


def certificate(folder: pathlib.Path, name: str) -> tuple[pathlib.Path, pathlib.Path]:
    """Make a certificate that is its own authority."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext"]
    command += [f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return key, cert


@pytest.mark.parametrize("protocol", list(itinerary.Protocol))
def test_a_cluster_is_asked_with_tls_under_its_name_with_a_token(
    protocol: itinerary.Protocol, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, cert = certificate(tmp_path, "inference.example")
    platform = small_platform.Platform(token="t0ken")  # noqa: S106
    if protocol is itinerary.Protocol.GRPC:
        serving = small_platform.running_grpc(platform, (key.read_bytes(), cert.read_bytes()))
    else:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(cert, key)
        serving = small_platform.running(platform, tls)
    wanted = order(
        "experiment",
        users=2,
        protocol=protocol,
        objects=False,
        host="inference.example",
        ca_file=str(cert),
    )
    with serving as where:
        with pytest.raises(endpoints.LoadTestError, match=r"answers (401|UNAUTHENTICATED)"):
            headless.prepare(where, wanted, tmp_path / "reports")
        monkeypatch.setenv(access.TOKEN, "t0ken")
        for change in ({"host": None}, {"ca_file": None}):
            with pytest.raises(endpoints.LoadTestError, match="nothing answers"):
                headless.prepare(where, dataclasses.replace(wanted, **change), tmp_path / "reports")
        made = headless.prepare(where, wanted, tmp_path / "reports")
        came_out = headless.run(made, lambda _: None)
    assert came_out.parts[0].failed == 0
    assert came_out.parts[0].requests > 50
    if protocol is itinerary.Protocol.REST:
        assert {headers["host"] for headers in platform.headers} == {"inference.example"}
    assert "t0ken" not in (made.folder / "plan.json").read_text()


def test_a_runtime_that_became_slow_is_found_beside_the_baseline_and_named(
    tmp_path: pathlib.Path,
) -> None:
    platform = small_platform.Platform(gateway_delay=0.003)
    reports, folder = tmp_path / "reports", tmp_path / "baselines"

    def run(**names: str) -> None:
        wanted = order("model", models=("one-predictor", "two-predictor"))
        load.run(where, wanted, reports, as_json=True, baselines=load.Baselines(folder, **names))

    with small_platform.running(platform) as where:
        with contextlib.suppress(load.ThresholdsBrokenError):  # on a busy machine
            run(save="main")
        platform.delays = dict.fromkeys(("one-predictor", "two-predictor"), 0.4)
        with pytest.raises(load.ThresholdsBrokenError) as caught:
            run(compare="main")
        with pytest.raises(endpoints.LoadTestError, match=r"no baseline 'mian'.*only main"):
            run(compare="mian")
        with pytest.raises(endpoints.LoadTestError, match="users 7 instead of 6"):
            load.run(
                where,
                order("model", models=("one-predictor", "two-predictor"), users=7),
                reports,
                as_json=True,
                baselines=load.Baselines(folder, save="main"),
            )
    said = str(caught.value)
    assert "slower than the baseline 'main':" in said
    assert re.search(r"model: p50 [\d.]+ ms → [\d.]+ ms \(×[\d.]+ \[", said)
    assert "model: p50, ms is" in said  # the threshold, too
    newest = max(path for path in reports.iterdir() if (path / "comment.md").exists())
    assert "measures are worse" in (newest / "comment.md").read_text()
    assert len(baseline.read(folder, "main").runs) == 1
