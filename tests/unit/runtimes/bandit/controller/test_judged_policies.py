"""`bellwether bandit` over real Kafka, mesh and controller."""

import random
from typing import Any

import httpx
import pytest

from loadtests import bandit_parts
from loadtests.bandit_parts import ARMS, until
from runtimes.bandit import declaration
from runtimes.bandit.judging import acting

OPTIONS = acting.Options()
SPLIT = {"one": 40, "two": 30, "three": 20, "four": 10}
MEANS = {"one": 0.0, "two": 0.2, "three": 1.0, "four": 0.1}


def place(parts: bandit_parts.Parts) -> acting.Place:
    return acting.Place(parts.kafka, parts.api, bandit_parts.NAMESPACE)


def policy(parts: bandit_parts.Parts, **spec: Any) -> declaration.BanditPolicy:
    return declaration.parse(
        {
            "apiVersion": declaration.API_VERSION,
            "kind": declaration.KIND,
            "metadata": {"name": parts.policy},
            "spec": {"experiment": parts.experiment, "updateFrequency": "200ms", **spec},
        }
    )


def epochs(parts: bandit_parts.Parts, prefix: str, count: int, learnt: int) -> int:
    """Let traffic follow the weights for so many epochs; give how many rewards are learnt."""
    traffic, draw = parts.traffic(), random.Random(prefix)  # noqa: S311  a test's values
    for number in range(count):
        weights = parts.weights()
        for arm in draw.choices(list(weights), list(weights.values()), k=150):
            learnt += 1
            identity = f"{parts.policy}-{prefix}-{number}-{learnt}"
            traffic.decide(identity, arm)
            traffic.reward(identity, draw.gauss(MEANS[arm], 0.5))
        traffic.flush()
        parts.epoch_of(rewards_learnt=learnt)
    return learnt


def declared(parts: bandit_parts.Parts) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(parts.policy_url()).json()
    return found


def test_a_policy_is_let_through_by_the_records_of_its_shadow_and_a_worse_one_is_not(parts):
    parts.declare_experiment(**SPLIT)
    parts.declare_policy(updateFrequency="200ms", mode="shadow")
    until(lambda: parts.allocations() or None, "the log begins")
    learnt = epochs(parts, "shadow", 6, 0)

    judged = acting.judge(place(parts), policy(parts), OPTIONS)
    assert judged.verdict.candidate.rows == learnt
    assert judged.current == parts.policy
    assert judged.shares["three"][0] > 0.6
    assert judged.shares["three"][1] == pytest.approx(0.2, abs=0.05)
    truth = sum(MEANS[arm] * share for arm, (share, _) in judged.shares.items())
    estimate = judged.verdict.candidate.estimates["dr"]
    assert estimate.lower < truth < estimate.upper
    assert judged.document()["gate"]["passes"]

    done = acting.activate(place(parts), None, OPTIONS)
    assert (done.policy, done.forced) == (parts.policy, None)
    assert declared(parts)["spec"]["mode"] == "active"
    notes = declared(parts)["metadata"]["annotations"]
    assert "is not below the current one's" in notes["bandits.bellwether.dev/gate"]
    until(lambda: parts.weights()["three"] > 8000 or None, "three has the traffic", 20)
    learnt = epochs(parts, "active", 5, learnt)

    even = policy(parts, explorationRate=1.0)
    with pytest.raises(acting.BanditError, match=r"(?s)is not activated: .* is below .*--force"):
        acting.activate(place(parts), even, OPTIONS)
    assert declared(parts)["spec"].get("explorationRate") is None

    done = acting.activate(place(parts), even, OPTIONS, force="a drill")
    assert done.forced == "a drill"
    notes = declared(parts)["metadata"]["annotations"]
    assert notes["bandits.bellwether.dev/forced"] == "a drill"
    until(lambda: set(parts.weights().values()) == {2500} or None, "the split is even", 20)

    assert acting.freeze(place(parts), parts.policy) == parts.policy
    parts.standing("Frozen", 20)
    found = acting.history(place(parts), parts.experiment, 3)
    assert [each.policy for each in found] == [parts.policy] * len(found)
    again = acting.activate(place(parts), even, OPTIONS)
    assert again.gate == "it is the policy that acted last"
    assert declared(parts)["spec"]["mode"] == "active"


def test_what_cannot_be_judged_is_refused_with_the_reason(parts, tmp_path):
    parts.declare_experiment(**SPLIT)
    with pytest.raises(acting.BanditError, match="nothing is known of how 'nowhere' split"):
        acting.judge(place(parts), policy(parts, experiment="nowhere"), OPTIONS)
    with pytest.raises(acting.BanditError, match="there is no policy 'nobody'"):
        acting.freeze(place(parts), "nobody")
    parts.declare_policy()
    until(lambda: parts.allocations() or None, "the log begins")
    with pytest.raises(acting.BanditError, match="the log is empty: nothing was decided"):
        acting.judge(place(parts), policy(parts, rewardMetric="unheard"), OPTIONS)
    rival = declaration.parse(
        {
            "apiVersion": declaration.API_VERSION,
            "kind": declaration.KIND,
            "metadata": {"name": "rival"},
            "spec": {"experiment": parts.experiment},
        }
    )
    with pytest.raises(acting.BanditError, match=f"policy {parts.policy} owns the weights"):
        acting.activate(place(parts), rival, OPTIONS, force="mine")
    path = tmp_path / "policy.yaml"
    path.write_text("kind: BanditPolicy\nmetadata: {name: x}\nspec: {experimant: e}\n")
    with pytest.raises(acting.BanditError, match=r"(?s)is no BanditPolicy:.*experimant"):
        acting.read(path)
    with pytest.raises(acting.BanditError, match="cannot be read"):
        acting.read(tmp_path / "missing.yaml")
    nowhere = acting.Place(parts.kafka, "http://127.0.0.1:9", bandit_parts.NAMESPACE)
    with pytest.raises(acting.BanditError, match="does not answer"):
        acting.freeze(nowhere, None)
    assert set(parts.weights()) == set(ARMS)


def test_traffic_that_is_not_split_as_the_weights_say_is_told_with_its_epoch(parts):
    parts.declare_experiment(**SPLIT)
    parts.declare_policy(updateFrequency="200ms", mode="frozen")
    until(lambda: parts.allocations() or None, "the log begins")
    learnt = epochs(parts, "usual", 3, 0)
    told = [each.details["reasons"] for each in parts.allocations()]
    assert "traffic does not split" not in str(told)
    traffic = parts.traffic()
    for number in range(400):
        traffic.decide(f"{parts.policy}-stuck-{number}", "four")
    traffic.flush()
    parts.epoch_of(decisions_taken=learnt + 400)
    reasons = until(
        lambda: [each for each in parts.allocations()[-1].details["reasons"] if "split" in each],
        "the last epoch says so",
    )
    assert "four 4" in reasons[0]
    scraped = httpx.get(f"http://127.0.0.1:{parts.port}/metrics").text
    counted = f'bellwether_bandit_sample_ratio_alerts_total{{policy="{parts.policy}"}}'
    assert any(
        line.startswith(counted) and float(line.split()[-1]) >= 1 for line in scraped.splitlines()
    )
