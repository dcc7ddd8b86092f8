"""Guard and fallback in a real MLServer, beside a real Valkey."""

import contextlib
import dataclasses
import json
import math
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import guard_processes
import httpx
import pytest
import redis
import usual_days

from runtimes.guard import scores

GOOD = json.dumps({"missing": [], "reason": "everything is there"})


def tensor(name: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    datatype = "BYTES" if isinstance(data[0], str) else "FP64"
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def enriched(  # noqa: PLR0913  an enriched request has this many sides
    symbol: str = "AAA",
    features: list[float | None] | None = None,
    quality_score: float = 1.0,
    quality: str = GOOD,
    history: list[float | None] | None = None,
    without: tuple[str, ...] = (),
) -> dict[str, Any]:
    row = usual_days.usual_row(symbol) if features is None else features
    days = [0.01, 0.02] * 3 if history is None else history
    tensors = [
        tensor("symbol", [1], [symbol]),
        tensor("date", [1], ["2008-10-10"]),
        tensor("features", [1, len(row)], row),
        tensor("history", [1, 3, 2], days),
        tensor("quality_score", [1], [quality_score]),
        tensor("quality", [1], [quality]),
    ]
    return {"inputs": [each for each in tensors if each["name"] not in without]}


@dataclasses.dataclass
class Guard:
    http: httpx.Client
    metrics: str
    valkey: redis.Redis
    folder: pathlib.Path
    repository: pathlib.Path

    def infer(self, body: dict[str, Any], model: str = "guard_1") -> httpx.Response:
        return self.http.post(f"/v2/models/{model}/infer", json=body)

    def ask(self, body: dict[str, Any], model: str = "guard_1") -> dict[str, list[Any]]:
        answer = self.infer(body, model)
        assert answer.status_code == 200, answer.text
        outputs = answer.json()["outputs"]
        assert all(each["shape"][0] == 1 for each in outputs)
        return {each["name"]: each["data"] for each in outputs}

    def write(self, symbol: str, score: float, age: float = 0.0, drifted: tuple[str, ...] = ()):
        found = scores.Score(score, time.time() - age, usual_days.LONGEST, drifted)
        self.valkey.hset(scores.KEY, symbol, found.encode())

    def until_drift(self, symbol: str, score: float) -> dict[str, list[Any]]:
        def there() -> dict[str, list[Any]] | None:
            answer = self.ask(enriched(symbol))
            return answer if answer["drift_score"] == [score] else None

        return guard_processes.until(there, f"{symbol}'s drift score is {score}", patience=20)

    def metric(self, start: str) -> float:
        return guard_processes.metric(self.metrics, start)


@contextlib.contextmanager
def serving(folder: pathlib.Path, valkey_port: int) -> Iterator[tuple[httpx.Client, str]]:
    repository = folder / "repository"
    guard_given = {"valkey": f"127.0.0.1:{valkey_port}", "drift_age_seconds": "5"}
    settle(repository, "guard_1", "runtime.Guard", usual_days.write(folder / "guard"), guard_given)
    fallback = usual_days.write_fallback(folder / "fallback")
    settle(repository, "fallback-predictor_3", "fallback.Fallback", fallback, {})
    rest, grpc, metrics = guard_processes.free_ports(3)
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": rest,
        "grpc_port": grpc,
        "metrics_port": metrics,
        "parallel_workers": 0,
    }
    (repository / "settings.json").write_text(json.dumps(settings))
    python = pathlib.Path(guard_processes.environment_python("serving"))
    log = repository / "mlserver.log"
    command = [str(python.parent / "mlserver"), "start", str(repository)]
    with (
        guard_processes.process(command, log) as started,
        httpx.Client(base_url=f"http://127.0.0.1:{rest}", timeout=30) as client,
    ):

        def is_ready() -> bool | None:
            assert started.poll() is None, log.read_text()[-4000:]
            try:
                return True if client.get("/v2/health/ready").is_success else None
            except httpx.TransportError:
                return None

        guard_processes.until(is_ready, "MLServer is ready")
        yield client, f"http://127.0.0.1:{metrics}/metrics"


def settle(
    repository: pathlib.Path, name: str, runtime: str, uri: pathlib.Path, extra: dict[str, str]
) -> None:
    folder = repository / name
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "name": name,
        "implementation": f"runtimes.guard.{runtime}",
        "parameters": {"uri": str(uri), "extra": extra},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    folder = tmp_path_factory.mktemp("guard")
    (port,) = guard_processes.free_ports(1)
    with (
        guard_processes.valkey(folder, port) as valkey,
        serving(folder, port) as (client, metrics),
    ):
        yield Guard(client, metrics, valkey, folder, folder / "repository")


@pytest.fixture
def guard(server: Guard) -> Guard:
    server.valkey.delete(scores.KEY)
    return server


def test_a_usual_request_is_accepted_with_its_scores(guard):
    answer = guard.ask(enriched())
    expected = usual_days.world().anomaly("AAA", usual_days.history("AAA")[0] * 0 + 50.0)
    assert answer["anomaly_score"] == [pytest.approx(expected, abs=1e-12)]
    assert answer["anomaly_score"][0] < 0.5
    assert answer["accepted"][0].startswith("quality 1.00; anomaly 0.")
    assert "fallback" not in answer


def test_an_anomaly_is_reported_and_a_forecast_still_made(guard):
    answer = guard.ask(enriched(features=[90.0, -50.0, 50.0, 50.0]))
    assert answer["anomaly_score"] == [1.0]
    assert "above 0.5: unusual for AAA" in answer["accepted"][0]


def test_poor_quality_falls_back_and_says_why(guard):
    answer = guard.ask(enriched(quality_score=0.55, quality='{"reason": "market_data is stale"}'))
    assert answer["fallback"] == ["quality 0.55 is below 0.80: market_data is stale"]
    assert "accepted" not in answer


@pytest.mark.parametrize(
    ("quality", "said"),
    [
        ('{"missing": ["rsi", "macd"], "stale": [], "score": 3}', "missing rsi, macd"),
        ('{"out_of_range": {"rsi": 120}}', "out of range rsi"),
        ('{"missing": ["a","b","c","d","e","f","g"]}', "missing a, b, c, d, e and 2 more"),
        ("the store is away", "the store is away"),
        ("[]", "[]"),
    ],
)
def test_any_quality_report_can_be_read_in_the_reason(guard, quality, said):
    answer = guard.ask(enriched(quality_score=0.1, quality=quality))
    assert answer["fallback"] == [f"quality 0.10 is below 0.80: {said}"]


def test_the_threshold_itself_is_good_enough(guard):
    assert "accepted" in guard.ask(enriched(quality_score=0.8))


def test_a_missing_value_falls_back_whatever_the_quality(guard):
    body = enriched(features=[50.0, None, 50.0, None])
    answer = guard.ask(body)
    assert answer["fallback"] == ["no value for macd, volume, and no forecast without it"]
    assert answer["anomaly_score"] == [1.0]


def test_history_with_holes_falls_back(guard):
    answer = guard.ask(enriched(history=[0.1, None, 0.1, 0.1, 0.1, 0.1]))
    assert "history" in answer["fallback"][0]


@pytest.mark.parametrize("absent", ["features", "history"])
def test_what_the_enrichment_could_not_give_falls_back(guard, absent):
    answer = guard.ask(enriched(without=(absent, "date")))
    assert answer["fallback"] == [f"there are no {absent}, and no forecast without them"]


def test_exactly_one_branch_is_emitted_and_counted(guard):
    start = 'bellwether_guard_branches_total{branch="%s",model="guard",reason="%s"}'
    before = [guard.metric(start % each) for each in (("accepted", "ok"), ("fallback", "quality"))]
    for score in (1.0, 0.2, 0.9, 0.5, 0.79):
        answer = guard.ask(enriched(quality_score=score))
        assert ("accepted" in answer) != ("fallback" in answer)
    after = [guard.metric(start % each) for each in (("accepted", "ok"), ("fallback", "quality"))]
    assert [b - a for a, b in zip(before, after, strict=True)] == [2, 3]


def test_a_drift_score_comes_from_valkey_in_the_background(guard):
    guard.write("AAA", 0.25)
    guard.write("BBB", 0.8, drifted=("rsi", "macd"))
    assert guard.until_drift("AAA", 0.25)["accepted"][0].endswith("drift 0.25")
    drifted = guard.until_drift("BBB", 0.8)
    assert drifted["accepted"][0].endswith("drift 0.80, above 0.5: rsi, macd")


def test_a_symbol_without_a_window_has_no_drift_and_says_so(guard):
    counted = 'bellwether_guard_drift_unknown_total{model="guard",reason="none"}'
    answer = guard.until_drift("AAA", 0.0)
    assert "drift not known: no full window" in answer["accepted"][0]
    assert guard.metric(counted) >= 1


def test_an_old_drift_score_counts_as_unknown(guard):
    guard.write("AAA", 0.7)
    guard.until_drift("AAA", 0.7)
    guard.write("AAA", 0.7, age=100)
    answer = guard.until_drift("AAA", 0.0)
    assert "drift not known: the last score is 100 s old" in answer["accepted"][0]
    assert guard.metric('bellwether_guard_drift_unknown_total{model="guard",reason="old"}') >= 1


def test_what_is_no_score_in_valkey_is_counted(guard):
    counted = 'bellwether_guard_drift_reads_total{model="guard",outcome="malformed"}'
    guard.valkey.hset(scores.KEY, "AAA", b"?")
    guard.write("BBB", 0.3)
    guard.until_drift("BBB", 0.3)
    assert guard.metric(counted) >= 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (enriched(features=[1.0, 2.0, 3.0]), "tensor 'features': expected shape [1, 4]"),
        (enriched(without=("quality_score",)), "tensor 'quality_score' is missing"),
        (
            {"inputs": [*enriched()["inputs"], tensor("qualty", [1], ["x"])]},
            "tensor 'qualty' is unknown (did you mean 'quality'?)",
        ),
        (enriched(quality_score=math.inf), None),
    ],
)
def test_a_wrong_tensor_is_a_400_that_names_it(guard, body, message):
    answer = guard.http.post(
        "/v2/models/guard_1/infer",
        content=json.dumps(body),
        headers={"content-type": "application/json"},
    )
    assert 400 <= answer.status_code < 500, answer.text
    if message is not None:
        assert message in answer.json()["error"]


def test_wrong_settings_are_refused_with_the_known_ones(guard):
    settle(
        guard.repository,
        "guard_2",
        "runtime.Guard",
        guard.folder / "guard",
        {"valkey": "here", "quality_treshold": "0.8"},
    )
    answer = guard.http.post("/v2/repository/models/guard_2/load")
    assert answer.status_code == 422, answer.text
    for part in ("expected host:port", "quality_treshold", "known are valkey, quality_threshold"):
        assert part in answer.json()["error"]


def test_a_reloaded_guard_leaves_no_second_reader_behind(guard):
    counted = 'bellwether_guard_drift_reads_total{model="guard",outcome="ok"}'
    for _ in range(5):
        assert guard.http.post("/v2/repository/models/guard_1/load").status_code == 200
    guard.write("AAA", 0.11)
    guard.until_drift("AAA", 0.11)
    before, began = guard.metric(counted), time.monotonic()
    guard_processes.until(
        lambda: True if guard.metric(counted) >= before + 5 else None, "five more reads"
    )
    # One reader reads five times a second; six would be done six times as soon.
    assert time.monotonic() - began > 0.6


def test_the_fallback_answers_what_is_usual(guard):
    answer = guard.ask({"inputs": [tensor("symbol", [1], ["AAA"])]}, "fallback-predictor_3")
    assert answer["volatility"] == [0.2]
    assert answer["interval"] == [0.1, 0.4]
    assert answer["direction"] == [0.53]
    name, version, artifact = answer["model"]
    assert (name, version) == ("fallback-predictor", "3")
    assert artifact.startswith("manifest-sha256-")


def test_the_fallback_names_the_symbols_that_it_knows(guard):
    answer = guard.infer({"inputs": [tensor("symbol", [1], ["AAB"])]}, "fallback-predictor_3")
    assert answer.status_code == 400
    for part in ("'AAB' is unknown (did you mean 'AAA'?)", "known are AAA, BBB"):
        assert part in answer.json()["error"]


def test_a_broken_fallback_is_refused(guard):
    folder = usual_days.write_fallback(guard.folder / "broken")
    document = json.loads((folder / "fallback.json").read_text())
    document["symbols"]["AAA"]["upper"] = 0.05
    (folder / "fallback.json").write_text(json.dumps(document))
    settle(guard.repository, "broken_1", "fallback.Fallback", folder, {})
    answer = guard.http.post("/v2/repository/models/broken_1/load")
    assert answer.status_code == 422
    assert "lower <= volatility <= upper" in answer.json()["error"]


def test_with_valkey_down_answers_keep_coming(tmp_path):
    (port,) = guard_processes.free_ports(1)
    with serving(tmp_path, port) as (client, metrics):
        with guard_processes.valkey(tmp_path, port) as valkey:
            guard = Guard(client, metrics, valkey, tmp_path, tmp_path / "repository")
            guard.write("AAA", 0.6)
            guard.until_drift("AAA", 0.6)
        guard_processes.until(
            lambda: (
                True
                if guard.metric('bellwether_guard_drift_reads_total{model="guard",outcome="away"}')
                else None
            ),
            "the guard has noticed",
        )
        # The last known score stands for a while, then it is not known.
        assert guard.ask(enriched())["drift_score"] == [0.6]
        assert "s old" in guard.until_drift("AAA", 0.0)["accepted"][0]
        with guard_processes.valkey(tmp_path, port) as back:
            guard.valkey = back
            guard.write("AAA", 0.2)
            guard.until_drift("AAA", 0.2)
