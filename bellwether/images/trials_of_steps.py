"""Trials on trained models and beside real servers; see `trials`."""

import json
import pathlib
import random
import time
import typing

import httpx

from bellwether.images import catalogue, trials
from bellwether.images.trials import Answer, Bench, Served, Tensors, expect, numbers, texts
from loadtests import bandit_parts
from models import requests, sources

SYMBOL = "SPX"
REWARDS = 600
_NOBODY = "127.0.0.1:1"
"""An address where nothing listens: the guard answers without Valkey."""


def _day() -> Tensors:
    """Give what a pipeline's steps would say of the newest day."""
    day = requests.latest(SYMBOL, sources.Source(None))
    quality = json.dumps({"missing": [], "reason": "everything is there"})
    return {
        **texts("symbol", day.symbol),
        **texts("date", day.date.isoformat()),
        **numbers("features", day.features.shape, day.features.ravel().tolist()),
        **numbers("history", day.history.shape, day.history.ravel().tolist()),
        **numbers("quality_score", [1], [1.0]),
        **texts("quality", quality),
        **numbers("anomaly_score", [1], [0.1]),
        **numbers("drift_score", [1], [0.0]),
        **texts("accepted", "the quality is 1"),
        **texts("regime", "calm"),
    }


def predictor(bench: Bench) -> Answer:
    """A linear model, trees, and a network have to forecast the newest day alike, within reason."""
    names = ("baseline", "enhanced", "transformer")
    with bench.server([Served(name, name) for name in names]) as server:
        day = _day()
        forecasts = []
        for name in names:
            answer = server.ask(name, server.taken(name, day))
            forecasts.append(answer["volatility"]["data"][0])
            lower, upper = answer["interval"]["data"]
            expect(lower < forecasts[-1] < upper, "a forecast inside its interval", answer)
        expect(max(forecasts) < 3 * min(forecasts), "forecasts that are near", forecasts)
        said = ", ".join(f"{each:.1%}" for each in forecasts)
        return Answer(f"{', '.join(names)}: {SYMBOL}", said, server.since_start())


def guard(bench: Bench) -> Answer:
    """Good data has to be accepted, poor data has to fall back, and the fallback has to answer."""
    models = [
        Served("guard", "guard", extra={"valkey": _NOBODY}),
        Served("fallback-predictor", "fallback"),
    ]
    with bench.server(models) as server:
        day = _day()
        good = server.ask("guard", server.taken("guard", day))
        expect("accepted" in good and "fallback" not in good, "accepted alone", good)
        poor = {**server.taken("guard", day), **numbers("quality_score", [1], [0.2])}
        answer = server.ask("guard", poor)
        expect("fallback" in answer and "accepted" not in answer, "fallback alone", answer)
        usual = server.ask("fallback-predictor", texts("symbol", SYMBOL))
        score = good["anomaly_score"]["data"][0]
        said = f"anomaly {score:.2f}; usual {usual['volatility']['data'][0]:.1%}"
        return Answer(f"guard, fallback: {SYMBOL}", said, server.since_start())


def explainer(bench: Bench) -> Answer:
    """The explanation of a forecast has to be there, and to be of that forecast's model."""
    with bench.server(
        [Served("explainer", "explainer"), Served("explanations", "explanations")]
    ) as (server):
        day = _day()
        wanted = {name: day[name] for name in ("features", "history")}
        answer = server.ask("explanations", {**wanted, **texts("method", "shap")})
        document = json.loads(answer["explanation"]["data"][0])
        expect("missing" not in document, "an explanation", document)
        first = document["attributions"][0]["feature"]
        said = f"{document['method']}: {first} first"
        return Answer(f"explanations: {SYMBOL}, shap", said, server.since_start())


def decision(bench: Bench) -> Answer:
    """A decision has to carry a confidence, and a position that is not above all of wealth."""
    with bench.server([Served("decision", "decision")]) as server:
        forecast = {
            **numbers("volatility", [1], [0.2]),
            **numbers("direction", [1], [0.52]),
            **numbers("interval", [1, 2], [0.14, 0.3]),
            **texts("model", "baseline-predictor", "1", "sha256-unknown"),
        }
        answer = server.ask("decision", server.taken("decision", {**_day(), **forecast}))
        confidence, position = (answer[name]["data"][0] for name in ("confidence", "position"))
        expect(0 < confidence < 1 and 0 <= position <= 1, "shares of 1", answer)
        said = f"confidence {confidence:.1%}, position {position:.1%}"
        return Answer(f"decision: {SYMBOL} at 20 %", said, server.since_start())


def bandit(bench: Bench) -> Answer:
    """A reward has to reach Kafka, and the controller has to move weights at the mesh by rewards."""
    with bandit_parts.parts(bench.folder) as parts:
        with bench.server(
            [Served("reward", None, "runtimes.bandit.reward.RewardModel", {"kafka": parts.kafka})]
        ) as server:
            reward = {**texts("prediction_id", "first"), **numbers("value", [1], [0.5])}
            answer = server.ask("reward", reward)
            expect(answer["acknowledged"]["data"] == [1], "one reward acknowledged", answer)
        seconds, weights = _controlled(bench, parts)
        said = "weights " + ", ".join(f"{name} {weight}" for name, weight in weights.items())
        return Answer("reward; controller: /ready, a policy with rewards", said, seconds)


def _controlled(bench: Bench, parts: bandit_parts.Parts) -> tuple[float, dict[str, int]]:
    told = json.loads((bench.folder / "controller-first.json").read_text())
    folder = bench.folder / "controller"
    folder.mkdir()
    told["service_account"] = "/nothing"
    (folder / "bandit.json").write_text(json.dumps(told))
    parts.declare_experiment(one=40, two=30, three=20, four=10)
    parts.declare_policy(updateFrequency="500ms")
    command = ("python", "-m", "runtimes.bandit.controller", "/etc/bellwether/bandit.json")
    began = time.monotonic()
    with (
        bench.container(
            "controller", "controller", command=command, mounts={folder: "/etc/bellwether"}
        ) as container,
        httpx.Client(base_url=f"http://127.0.0.1:{parts.port}", timeout=5) as client,
    ):
        bench.await_page(container, "controller", client, "/ready")
        seconds = time.monotonic() - began
        bench.inspect(container, health=False)
        _rewarded(parts)
        try:
            weights = bandit_parts.until(lambda: _moved(parts), "the better arm gets more")
        except bandit_parts.PartsError as error:
            said = (bench.folder / "controller.log").read_text(errors="replace")[-2000:]
            status = json.dumps(parts.status())
            raise catalogue.ImageError(f"{error}; its status is {status}\n{said}") from error
    return seconds, weights


def _rewarded(parts: bandit_parts.Parts) -> None:
    draw = random.Random(1)  # noqa: S311  a trial's values, the same each time
    traffic = parts.traffic()
    for number in range(REWARDS):
        arm = draw.choice(bandit_parts.ARMS)
        traffic.decide(f"d-{number}", arm)
        traffic.reward(f"d-{number}", draw.gauss(1.0 if arm == "three" else 0.0, 1.0))
    traffic.flush()


def _moved(parts: bandit_parts.Parts) -> dict[str, int] | None:
    weights = parts.weights()
    return weights if weights["three"] > sum(weights.values()) / 2 else None


def features(bench: Bench) -> Answer:
    """The stream has to fill the store from the artifact's bars, and the step has to read them there."""
    folder = bench.folder / "scratch"
    folder.mkdir()
    folder.chmod(0o777)
    artifact = trials.trained("enrichment")
    with bandit_parts.parts(bench.folder / "parts") as parts:
        valkey = f"127.0.0.1:{parts.valkey_port}"
        _applied(bench, artifact, folder, valkey)
        (port,) = bandit_parts.free_ports(1)
        stream = {
            "kafka": parts.kafka,
            "valkey": valkey,
            "registry": "/scratch/registry.db",
            "artifact": "/artifact",
            "port": port,
        }
        (folder / "stream.json").write_text(json.dumps(stream))
        given: dict[str, typing.Any] = {
            "mounts": {artifact: "/artifact"},
            "scratch": {folder: "/scratch"},
        }
        command = ("python", "-m", "runtimes.features.stream", "/scratch/stream.json")
        extra = {"kafka": parts.kafka, "valkey": valkey, "registry": "/scratch/registry.db"}
        with (
            bench.container("stream", "stream", command=command, **given) as container,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5) as client,
        ):
            bench.await_page(container, "stream", client, "/ready")
            with bench.server([Served("enrichment", "enrichment", extra=extra)], **given) as server:
                answer = server.ask("enrichment", texts("symbol", SYMBOL))
                seconds = server.since_start()
        date, score = answer["date"]["data"][0], answer["quality_score"]["data"][0]
        expect(date and score > 0, "a day whose features are known", answer)
        return Answer(f"enrichment: {SYMBOL}", f"{date}, quality {score:.2f}", seconds)


def _applied(bench: Bench, artifact: pathlib.Path, folder: pathlib.Path, valkey: str) -> None:
    command = ("python", "-m", "runtimes.features.apply", "--artifact", "/artifact")
    with bench.container(
        "registry",
        "registry",
        command=(*command, "--registry", "/scratch/registry.db", "--valkey", valkey),
        mounts={artifact: "/artifact"},
        scratch={folder: "/scratch"},
    ) as container:
        status = container.wait(trials.PATIENCE)
    said = (bench.folder / "registry.log").read_text(errors="replace")
    expect(status == 0, "the registry applied", said)
