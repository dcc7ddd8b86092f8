"""The contextual policy in a real MLServer, with its state in a real Valkey and Kafka beside."""

import collections
import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import redis
import router_parts
import steps_process

from runtimes import contract
from runtimes.contract import bandits, linear_choice

ROUTER = "runtimes.router.runtime.Router"
NAME = "regime-router"
PATIENCE = 20.0
VOLATILE = [[[0.05], [-0.05]] * 10]


def state(mode: str, rewards: float = 1e4, **more: Any) -> bytes:
    """`baseline` earns most in every market."""
    inverse = tuple(map(tuple, (np.eye(2) / (1 + rewards)).tolist()))
    said = {
        "experiment": NAME, "policy": "by-context", "epoch": 3, "time": 1.5e9, "mode": mode,
        "algorithm": "linear-thompson", "width": 1.0, "exploration": 0.2, "minimum": 20.0,
        "ridge": 1.0, "noise": 0.1, "arms": contract.BRANCHES, "features": ("log_volatility",),
        "intercept": True, "inverses": (inverse,) * 4,
        "coefficients": tuple((float(arm == "baseline"), 0.0) for arm in contract.BRANCHES),
    }  # fmt: skip
    return linear_choice.Record.model_validate(said | more).encode()


def ask(server: steps_process.Server, identity: str) -> tuple[str, str]:
    """The branch of a volatile market, and its reason."""
    answer = server.outputs(f"{NAME}_1", steps_process.numbers("history", VOLATILE), id=identity)
    assert answer["regime"] == ["volatile"]
    (branch,) = set(answer) & set(contract.BRANCHES)
    return branch, answer[branch][0]


def until(server: steps_process.Server, said: Callable[[str], bool]) -> str:
    """Ask until a reason says so: the state is read beside the path."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        reason = ask(server, f"probe-{time.monotonic_ns()}")[1]
        if said(reason):
            return reason
        time.sleep(0.02)  # between two probes
    return pytest.fail(f"not within {PATIENCE:g} s; the last reason was {reason!r}")


def reads(server: steps_process.Server, outcome: str) -> float:
    return server.count("bellwether_router_state_reads_total", model=NAME, outcome=outcome)


@contextlib.contextmanager
def parts(folder: pathlib.Path) -> Iterator[tuple[steps_process.Server, pathlib.Path, int, str]]:
    repository, kafka, stored = folder / "repository", folder / "kafka", folder / "valkey"
    for each in (repository, kafka, stored):
        each.mkdir()
    (port,) = steps_process.free_ports(1)
    with router_parts.broker(kafka) as bootstrap:
        extra = {"kafka": bootstrap, "policy": "contextual", "valkey": f"127.0.0.1:{port}"}
        steps_process.write_settings(repository, f"{NAME}_1", ROUTER, None, extra)
        with steps_process.running(repository) as server:
            yield server, stored, port, bootstrap


def test_it_follows_the_state_from_the_shade_into_action_and_the_rule_without_one(
    tmp_path: pathlib.Path,
) -> None:
    def put(client: redis.Redis, value: bytes) -> None:
        client.hset(linear_choice.KEY, NAME, value)  # type: ignore[arg-type]

    with parts(tmp_path) as (server, stored, port, bootstrap):
        branch, reason = ask(server, "away-1")
        assert branch == "robust"
        assert reason.endswith("(by the rule: Valkey is away)")
        with router_parts.valkey(stored, port) as client:
            until(server, lambda reason: "no policy has learnt for regime-router" in reason)
            put(client, state("shadow"))
            until(server, lambda reason: "by the rule" not in reason)
            shaded = [ask(server, f"shadow-{number}")[0] for number in range(200)]
            put(client, state("active"))
            until(server, lambda reason: "epoch 3: baseline with probability 0.85" in reason)
            acted = [ask(server, f"active-{number}")[0] for number in range(200)]
            again = [ask(server, f"active-{number}")[0] for number in range(200)]
            put(client, b'{"experiment": "regime-router"}')
            until(
                server, lambda reason: "(by the rule: its state in Valkey is malformed)" in reason
            )
            put(client, state("active", arms=("a", "b", "c", "d")))
            until(server, lambda _: reads(server, "malformed") > 1)
            put(client, state("active", epoch=4))
            until(server, lambda reason: "epoch 4" in reason)
        until(server, lambda reason: "(by the rule: Valkey is away)" in reason)
        with router_parts.valkey(stored, port):
            until(server, lambda reason: "epoch 4" in reason)
        counts = {outcome: reads(server, outcome) for outcome in ("ok", "away", "malformed")}
        published = int(
            server.count("bellwether_router_decisions_total", model=NAME, outcome="published")
        )
        decisions = [
            bandits.Decision.model_validate(record)
            for _, record in router_parts.records(bootstrap, published, bandits.DECISIONS)
        ]
        routings = router_parts.records(bootstrap, published)
    assert counts["malformed"] == 2, "a state is read once, however often it is asked for"
    assert min(counts.values()) > 0
    assert collections.Counter(shaded)["robust"] == pytest.approx(160, abs=25)
    assert collections.Counter(acted)["baseline"] == pytest.approx(170, abs=25)
    assert again == acted, "the same id takes the same branch"

    assert len(decisions) == published
    by_id = {each.id: each for each in decisions}
    assert by_id["away-1"].propensity == 1.0
    for number, arm in enumerate(shaded):
        each = by_id[f"shadow-{number}"]
        assert (each.experiment, each.arm) == (NAME, arm)
        assert each.propensity == pytest.approx(0.8 if arm == "robust" else 0.2 / 3)
        assert each.context is not None
        assert each.context["volatile"] == 1.0
        assert each.context["volatility"] == pytest.approx(0.05 * 252**0.5)
    for number, arm in enumerate(acted):
        expected = 0.85 if arm == "baseline" else 0.05
        assert by_id[f"active-{number}"].propensity == pytest.approx(expected, abs=1e-9)
    told = {record["id"]: record for _, record in routings}
    shadow = told["shadow-0"]["contextual"]
    assert shadow["shadow"]["baseline"] == pytest.approx(0.85)
    assert shadow["shadow_branch"] in contract.BRANCHES
    assert told["shadow-0"]["propensity"] == by_id["shadow-0"].propensity
    assert told["active-0"]["contextual"]["rule"] == "robust"


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"policy": "contextual", "kafka": "127.0.0.1:9"}, "policy contextual needs valkey"),
        ({"policy": "contextual", "valkey": "127.0.0.1:9"}, "needs kafka"),
        ({"policy": "contextual"}, "needs valkey and kafka"),
        ({"policy": "bandit"}, "policy: Input should be 'thresholds' or 'contextual'"),
        ({"valkey": "localhost"}, "valkey: Value error, expected host:port"),
    ],
)
def test_a_policy_without_its_parts_is_refused_with_the_remedy(
    server: steps_process.Server, extra: dict[str, str], words: str
) -> None:
    refused = server.load("wrong-router_1", ROUTER, **extra)
    assert refused.status_code == 422, refused.text
    assert words in refused.json()["error"]


def test_a_router_by_thresholds_does_not_ask_valkey(server: steps_process.Server) -> None:
    loaded = server.load("plain-router_1", ROUTER, valkey="127.0.0.1:9", policy="thresholds")
    assert loaded.status_code == 200, loaded.text
    answer = server.outputs("plain-router_1", steps_process.numbers("history", VOLATILE))
    assert "by the rule" not in answer["robust"][0]
    for outcome in ("ok", "away"):
        reads = server.count(
            "bellwether_router_state_reads_total", model="plain-router", outcome=outcome
        )
        assert reads == 0
