"""`bellwether audit` against the real environment: every part of a prediction, again to the byte."""

import json
import re
import uuid

import confluent_kafka
import confluent_kafka.admin
import pytest

from bellwether.audit import dossier, page
from infra.catalogue import topics
from runtimes import contract
from runtimes.contract import bandits, inference
from tests.conformance.environment import eventually
from tests.stack import forecasts
from tests.stack.conftest import bellwether

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


def audited(identity: str, out, *more: str) -> dossier.Dossier:
    answer = bellwether("audit", identity, "--out", str(out), *more)
    assert answer.returncode == 0, answer.stderr
    return page.records(out.read_text())


def section(drawn: str, name: str) -> str:
    found = re.search(rf'<section id="{name}">(.*?)</section>', drawn, re.DOTALL)
    assert found is not None, f"the page has no section {name}"
    return found[1]


@pytest.fixture(scope="module")
def answer(up):
    """A prediction of which every step's record is in Kafka."""
    with forecasts.Gateway(up) as gateway:
        found = gateway.ask("SPX", rsi_14d=80.0)
        assert found.status == 200, found.text
        return found


@pytest.fixture(scope="module")
def whole(up, answer, tmp_path_factory):
    """Its page once the records of all steps are there: they leave the model server by themselves."""
    out = tmp_path_factory.mktemp("audit") / "page.html"
    branch = [each.format(branch=answer.model[0]) for each in forecasts.STEPS]

    def complete() -> bool:
        if bellwether("audit", answer.id, "--out", str(out)).returncode:
            return False
        found = page.records(out.read_text())
        known = found.document(dossier.ENRICHED) and found.document(dossier.ROUTING)
        return bool(known) and all(found.step(name) for name in branch)

    eventually(complete, "all steps of the prediction are recorded")
    return out


def test_the_page_shows_what_was_answered_and_where_it_came_from(whole, answer):
    drawn = whole.read_text()
    found = page.records(drawn)
    for name, tensor in found.pipeline("outputs").items():
        assert list(tensor.data) == answer.outputs[name]
    assert f"{answer.outputs[contract.PREDICTION][0]:.2%} a year" in section(drawn, "forecast")
    assert answer.model[2] in section(drawn, "model")
    assert "On 4901 rows held out" in section(drawn, "model") or "held out" in drawn
    first = answer.document(contract.EXPLANATION)["attributions"][0]["feature"]
    assert first in section(drawn, "explanation")
    assert str(found.document(dossier.ROUTING)["reason"]).split()[0] in section(drawn, "regime")
    features = section(drawn, "features")
    given = re.search(r"<tr><td>rsi_14d</td>.*?</tr>", features)
    stored = re.search(r"<tr><td>log_variance_22d</td>.*?</tr>", features)
    assert given is not None
    assert "the caller" in given[0]
    assert "80.0" in given[0]
    assert stored is not None
    assert "T21:00:00" in stored[0]


def test_the_page_is_built_again_to_the_byte_from_topics_and_from_itself(whole, answer, tmp_path):
    again, from_page = tmp_path / "again.html", tmp_path / "from.html"
    audited(answer.id, again)
    assert again.read_bytes() == whole.read_bytes()
    audited(answer.id, from_page, "--from", str(whole))
    assert from_page.read_bytes() == whole.read_bytes()


def test_a_reward_and_what_cannot_be_read_are_on_the_page_once_they_have_come(
    up, whole, answer, tmp_path
):
    ports = up.settings().ports
    producer = confluent_kafka.Producer({"bootstrap.servers": f"127.0.0.1:{ports.kafka}"})
    reward = bandits.Reward(
        prediction_id=answer.id, metric=bandits.BUSINESS_VALUE, value=0.03125, time=1.0
    )
    for value in (reward.encode(), reward.encode(), b"{broken"):
        producer.produce(bandits.REWARDS, value, answer.id)
    assert producer.flush(30) == 0
    found = audited(answer.id, tmp_path / "later.html")
    drawn = (tmp_path / "later.html").read_text()
    assert len(found.of(bandits.REWARDS)) == 3
    assert "0.03125" in section(drawn, "reward")
    assert "came again" in section(drawn, "reward")
    assert "unreadable: no JSON" in section(drawn, "steps")


def test_an_arms_prediction_has_its_decision_and_says_what_is_not_recorded(up, tmp_path):
    told = bellwether("predict", "--symbol", "SPX", "--json")
    assert told.returncode == 0, told.stderr
    identity = json.loads(told.stdout)["request_id"]
    out = tmp_path / "arm.html"
    eventually(
        lambda: bellwether("audit", identity, "--out", str(out)).returncode == 0,
        "the decision is recorded",
    )
    found = page.records(out.read_text())
    assert found.kind == "experiment"
    assert found.document(bandits.DECISIONS)["arm"] in section(out.read_text(), "forecast")


def test_a_prediction_that_does_not_exist_is_an_error_that_says_what_to_do(up, tmp_path):
    out = tmp_path / "none.html"
    answer = bellwether("audit", str(uuid.uuid4()), "--out", str(out))
    assert answer.returncode == 1
    assert "nothing is recorded of a prediction" in answer.stderr
    assert "record_days" in answer.stderr
    assert not out.exists()


def test_truth_for_a_prediction_that_is_not_known_is_told_apart(up):
    ports = up.settings().ports
    identity = f"never-asked-{uuid.uuid4()}"
    producer = confluent_kafka.Producer({"bootstrap.servers": f"127.0.0.1:{ports.kafka}"})
    reward = bandits.Reward(prediction_id=identity, metric="m", value=1.0, time=1.0)
    producer.produce(bandits.REWARDS, reward.encode(), identity)
    assert producer.flush(30) == 0
    answer = bellwether("audit", identity)
    assert answer.returncode == 1
    assert "except a reward" in " ".join(answer.stderr.split())


def test_a_request_that_failed_has_a_page_that_says_at_which_step(up, tmp_path):
    with forecasts.Gateway(up) as gateway:
        failed = gateway.ask("NOSUCH")
    assert failed.status == 400
    out = tmp_path / "failed.html"
    eventually(
        lambda: bellwether("audit", failed.id, "--out", str(out)).returncode == 0,
        "the error is recorded",
    )
    found = page.records(out.read_text())
    assert found.kind == "failed"
    assert "NOSUCH" in out.read_text()


def test_seldons_topics_keep_records_as_long_as_the_stack_says(up):
    ports = up.settings().ports
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": f"127.0.0.1:{ports.kafka}"})
    name = inference.topic("bellwether", "pipeline", forecasts.PIPELINE, "outputs")
    for topic in (name, bandits.REWARDS):
        resource = confluent_kafka.admin.ConfigResource("topic", topic)
        (described,) = admin.describe_configs([resource]).values()
        kept = int(described.result(10)["retention.ms"].value)
        assert kept >= topics.milliseconds(up.settings().record_days)
    assert kept == topics.milliseconds(30), "what a policy learns from stays longer"
