"""The benchmarks against the small platform, whose delays are known."""

import collections
import json
import os
import pathlib
import stat
import subprocess
import sys
from typing import Any

import pytest
import small_platform

from bellwether import bench
from loadtests import benchmarks, endpoints, mesh
from loadtests.benchmarks import benchmark, route, up, weights


def context(where: endpoints.Endpoints, **change: Any) -> benchmark.Context:
    fields: dict[str, Any] = {"where": where, "progress": lambda _share, _what: None}
    return benchmark.Context(**fields | change)


@pytest.fixture
def short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "_WARM_UP", 5)
    monkeypatch.setattr(route, "_LATENCY_REQUESTS", 10)
    monkeypatch.setattr(route, "_SLICES", 1)
    monkeypatch.setattr(route, "_SLICE_SECONDS", 0.2)


@pytest.mark.usefixtures("short_rounds")
def test_route_finds_the_delay_that_the_gateway_adds() -> None:
    delay = 0.01
    with small_platform.running(small_platform.Platform(gateway_delay=delay)) as where:
        result = route.run(context(where))
    targets = result.document["targets"]
    assert list(targets) == ["direct", "gateway", "direct mix", "experiment"]
    assert result.document["rounds"] == 5
    for name in ("gateway", "experiment"):
        added = targets[name]["added_ms"]
        assert added["minimum"] >= 0.9 * delay * 1e3
        assert added["minimum"] <= added["median"] <= added["maximum"]
        # eight callers, each held up for the delay
        assert targets[name]["requests_per_second"]["maximum"] <= 1.1 * route.CALLERS / delay
        assert targets[name]["throughput_cost_percent"]["minimum"] > 0
    assert all(target["failed"] == 0 for target in targets.values())
    json.dumps(result.document, allow_nan=False)
    latency, throughput = result.tables
    assert [row[0] for row in latency.rows] == [row[0] for row in throughput.rows] == list(targets)


@pytest.mark.usefixtures("short_rounds")
def test_route_counts_what_failed() -> None:
    def spoil(number: int, document: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return (503, {}) if number > 10 and number % 7 == 0 else (200, document)

    with small_platform.running(small_platform.Platform(spoil=spoil)) as where:
        targets = route.run(context(where)).document["targets"]
    assert targets["direct"]["failed"] == 0
    assert targets["gateway"]["failed"] > 0
    assert targets["experiment"]["failed"] > 0


def test_a_mix_has_each_arm_as_often_as_its_weight_says_and_well_spread() -> None:
    declared = mesh.Experiment("e", (("a", 40), ("b", 30), ("c", 20), ("d", 10)))
    mix = route._mix(declared)
    assert collections.Counter(mix) == {"a": 40, "b": 30, "c": 20, "d": 10}
    for start in range(0, 100, 10):
        assert collections.Counter(mix[start : start + 10])["a"] == 4


@pytest.fixture
def few_flips(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(weights, "FLIPS", 20)
    return 20


def test_weights_finds_the_time_that_a_split_takes_to_act_and_restores(few_flips: int) -> None:
    platform = small_platform.Platform(acts_after=0.05)
    with small_platform.running(platform) as where:
        document = weights.run(context(where)).document
    assert platform.weights == list(small_platform.WEIGHTS)
    # in each of two modes the flips and the one from the split before; then the restoring one
    assert platform.patches == 2 * (few_flips + 1) + 1
    assert set(document["modes"]) == {"idle", "beside 8 callers"}
    for mode in document["modes"].values():
        assert 50 <= mode["first_new_ms"]["p50"] <= mode["first_new_ms"]["maximum"] < 500
        # the old split acts until then, so requests are sent under it until shortly before
        assert 25 < mode["last_old_ms"]["p50"] <= mode["first_new_ms"]["maximum"]
        assert mode["patch_ms"]["p50"] < 50
        assert mode["failed"] == 0
        assert mode["requests"] > few_flips


@pytest.mark.usefixtures("few_flips")
def test_weights_counts_failed_requests_by_their_words() -> None:
    def spoil(number: int, document: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return (503, {}) if number % 10 == 0 else (200, document)

    with small_platform.running(small_platform.Platform(spoil=spoil)) as where:
        modes = weights.run(context(where)).document["modes"]
    for mode in modes.values():
        assert mode["failed"] == pytest.approx(mode["requests"] / 10, abs=1)
        assert mode["failures"] == ["status 503: b'{}'"]


@pytest.mark.usefixtures("few_flips")
def test_a_refused_patch_ends_the_benchmark_and_the_weights_are_restored() -> None:
    platform = small_platform.Platform(refuse_patch=5)
    with (
        small_platform.running(platform) as where,
        pytest.raises(endpoints.LoadTestError, match="refused a PATCH of the weights: 400"),
    ):
        weights.run(context(where))
    assert platform.weights == list(small_platform.WEIGHTS)


@pytest.mark.usefixtures("few_flips")
def test_a_split_that_never_acts_ends_the_benchmark_and_the_weights_are_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(weights, "_DEADLINE", 0.3)
    platform = small_platform.Platform(acts_after=3600)
    with (
        small_platform.running(platform) as where,
        pytest.raises(endpoints.LoadTestError, match=r"did not act in 0\.3 s"),
    ):
        weights.run(context(where))
    assert platform.weights == list(small_platform.WEIGHTS)


CLI = """#!{python}
import json, os, sys, time
with open({log!r}, "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
if sys.argv[1] == {failing!r}:
    sys.exit("the port 9000 is taken")
if sys.argv[1] == "status":
    pid = int(open({pid!r}).read())
    print(json.dumps({{"components": [
        {{"component": "mesh", "pid": pid}}, {{"component": "gone", "pid": None}}]}}))
"""


def cli(folder: pathlib.Path, failing: str = "") -> tuple[str, ...]:
    """A command line that writes its calls to a log; its one process is this one."""
    path = folder / "cli"
    (folder / "pid").write_text(str(os.getpid()))
    names = {"log": str(folder / "log"), "pid": str(folder / "pid")}
    path.write_text(CLI.format(python=sys.executable, failing=failing, **names))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return (str(path),)


def nowhere() -> endpoints.Endpoints:
    return endpoints.Endpoints("http://127.0.0.1:1", "http://127.0.0.1:1", "", "test")


def test_up_times_each_command_and_weighs_each_process(tmp_path: pathlib.Path) -> None:
    result = up.run(context(nowhere(), cli=cli(tmp_path)))
    called = (tmp_path / "log").read_text().split("\n")
    assert called == ["down", "up", *["up", "preview"] * 5, "status --json", ""]
    seconds = result.document["seconds"]
    assert set(seconds) == {"warm", "unchanged", "preview"}
    assert all(0 < spread["minimum"] <= spread["maximum"] for spread in seconds.values())
    (name,) = result.document["memory_mib"]
    assert name == "mesh"
    assert result.document["memory_mib"]["mesh"] > 10


def test_a_command_that_fails_is_told_with_what_it_said(tmp_path: pathlib.Path) -> None:
    with pytest.raises(endpoints.LoadTestError, match=r"cli preview` ended with 1:\nthe port 9000"):
        up.run(context(nowhere(), cli=cli(tmp_path, failing="preview")))


def test_a_supervisor_does_not_weigh_the_processes_that_have_names_of_their_own() -> None:
    heavy = subprocess.Popen(
        [sys.executable, "-c", "x = b'x' * 200_000_000; print(1, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with heavy:
        assert heavy.stdout
        heavy.stdout.readline()
        alone = {name: mib for name, _, mib in up._memory({"parent": os.getpid()})}
        named = {
            name: mib for name, _, mib in up._memory({"parent": os.getpid(), "child": heavy.pid})
        }
        heavy.communicate(b"\n")
    assert named["child"] > 190
    assert alone["parent"] - named["parent"] == pytest.approx(named["child"], rel=0.05)


def test_a_spread_is_minimum_median_and_maximum() -> None:
    assert benchmark.Spread.of([3.0, 1.0, 2.0]) == benchmark.Spread(1.0, 2.0, 3.0)
    assert benchmark.Spread.of([4.0, 1.0, 2.0, 3.0]).median == 2.5


def test_every_benchmark_has_a_line_about_it() -> None:
    assert list(benchmarks.BENCHMARKS) == [
        *("route", "weights", "pipeline", "features"),
        *("bandit", "bandit-history", "bandit-loop", "ope", "up"),
    ]
    assert all(each.about for each in benchmarks.BENCHMARKS.values())


def test_an_unknown_benchmark_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(endpoints.LoadTestError, match=r"'speed' is unknown(.|\n)*route:(.|\n)*up:"):
        bench.run(nowhere(), ["speed"], rounds=5, cli=("x",), as_json=True)


def test_too_few_rounds_are_refused() -> None:
    with pytest.raises(endpoints.LoadTestError, match="at least 5"):
        bench.run(nowhere(), ["up"], rounds=2, cli=("x",), as_json=True)


def test_bench_prints_one_document_for_programs(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run(nowhere(), ["up"], rounds=5, cli=cli(tmp_path), as_json=True)
    assert list(json.loads(capsys.readouterr().out)) == ["up"]


def test_bench_draws_tables_for_people(tmp_path: pathlib.Path) -> None:
    program = (
        "from bellwether import bench; from loadtests import endpoints; import sys; "
        "bench.run(endpoints.Endpoints('', '', '', ''), ['up'], rounds=5, "
        "cli=(sys.argv[1],), as_json=False)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program, *cli(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "unchanged" in finished.stderr
    assert finished.stdout == ""
