"""One dead part at a time: answers go on, say what is missing, and recovery needs no hand."""

import statistics
from collections.abc import Iterator

import httpx
import pytest

from bellwether import environment as environments
from runtimes import contract
from tests.stack import forecasts

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

ANSWERS = f"seldon.bellwether.pipeline.{forecasts.PIPELINE}.outputs"
ENRICHED = "feature-monitoring"


@pytest.fixture
def gateway(up: environments.Stack) -> Iterator[forecasts.Gateway]:
    with forecasts.Gateway(up) as own:
        forecasts.until(own.ask, forecasts.is_normal, "all is well before a part is taken away")
        yield own


def assert_falls_back(answer: forecasts.Answer) -> None:
    assert answer.status == 200, answer.text
    assert answer.seconds < 1
    *steps, _ = answer.route
    assert [each.rpartition("_")[0] for each in steps] == list(forecasts.FALLBACK_STEPS)
    assert answer.model[0] == "fallback-predictor"
    assert answer.outputs[contract.PREDICTION][0] > 0
    assert answer.quality == 0
    reason = answer.document(contract.QUALITY)["reason"]
    assert "the online store at 127.0.0.1:" in reason
    assert reason in answer.rules["fallback_position"]
    assert answer.document(contract.EXPLANATION)["reason"] == "fallback"


def test_with_valkey_down_the_fallback_answers_and_says_why(
    up: environments.Stack, gateway: forecasts.Gateway
) -> None:
    with forecasts.Part(up, "valkey").down():
        for _ in range(20):
            assert_falls_back(gateway.ask())
    forecasts.until(gateway.ask, forecasts.is_normal, "features are read again", 10)


def test_with_valkey_hanging_the_fallback_answers_and_says_why(
    up: environments.Stack, gateway: forecasts.Gateway
) -> None:
    with forecasts.Part(up, "valkey").hanging():
        for _ in range(20):
            assert_falls_back(gateway.ask())
    forecasts.until(gateway.ask, forecasts.is_normal, "features are read again", 10)


def test_with_the_explainer_down_the_forecast_comes_with_a_missing_explanation(
    up: environments.Stack, gateway: forecasts.Gateway
) -> None:
    before = gateway.ask()
    (version,) = (each for each in before.route if each.startswith("explainer_"))
    repository = f"http://127.0.0.1:{up.settings().ports.model_server}/v2/repository/models"
    assert httpx.post(f"{repository}/{version}/unload").is_success
    try:
        answer = gateway.ask()
    finally:
        assert httpx.post(f"{repository}/{version}/load", timeout=60).is_success
    assert answer.status == 200, answer.text
    assert [each for each in answer.route if each.startswith("explainer_")] == []
    assert answer.document(contract.EXPLANATION) == {
        "missing": "the explainer did not answer, or not in time"
    }
    assert forecasts.is_normal(answer)
    for name in (contract.PREDICTION, contract.CONFIDENCE, contract.POSITION, contract.MODEL):
        assert answer.outputs[name] == before.outputs[name]
    assert forecasts.unexplained(gateway.ask()) is not None


def median_of(gateway: forecasts.Gateway, count: int) -> tuple[float, list[str]]:
    """Ask so many times; give the median time in seconds, and the requests' ids."""
    answers = [gateway.ask() for _ in range(count)]
    assert {answer.status for answer in answers} == {200}
    assert all(forecasts.is_normal(answer) for answer in answers)
    return statistics.median(answer.seconds for answer in answers), [each.id for each in answers]


def accounts(gateway: forecasts.Gateway) -> tuple[float, float]:
    """How many records were handed over to Kafka's client, and how many were lost."""
    return gateway.metric("bellwether_records_published_total"), gateway.metric(
        "bellwether_records_lost_total"
    )


def test_with_kafka_down_answers_keep_their_pace_and_every_record_is_accounted_for(
    up: environments.Stack, gateway: forecasts.Gateway
) -> None:
    usual, _ = median_of(gateway, 200)
    with forecasts.Topics(up, ANSWERS, ENRICHED) as topics:
        handed_before, lost_before = accounts(gateway)
        with forecasts.Part(up, "kafka").down():
            during, asked = median_of(gateway, 300)
            slowest = max(gateway.ask().seconds for _ in range(100))
        handed, lost = accounts(gateway)
        after = gateway.ask()

        def ids(topic: str) -> set[str]:
            if topic == ANSWERS:
                return {each.key for each in topics.records if each.topic == topic}
            return {each["id"] for each in topics.documents(topic)}

        topics.wait(
            lambda _: after.id in ids(ANSWERS) and after.id in ids(ENRICHED),
            "records flow again",
            60,
        )
        missing = {topic: set(asked) - ids(topic) for topic in (ANSWERS, ENRICHED)}
    assert during < 2 * usual + 0.002
    assert slowest < 1
    # Each request is 17 records of the pipeline's, and one each of enrichment and router.
    assert handed - handed_before >= 400 * len(forecasts.STEPS) * 2
    # Kafka was away for less time than its client keeps a record.
    assert lost == lost_before
    assert missing == {ANSWERS: set(), ENRICHED: set()}


def test_with_the_model_server_killed_every_request_ends_and_forecasts_come_back(
    up: environments.Stack, gateway: forecasts.Gateway
) -> None:
    part = forecasts.Part(up, "model-server")
    with forecasts.Callers(up) as callers:
        forecasts.until(gateway.ask, lambda _: len(callers.answers) > 50, "callers ask")
        part.kill()
        forecasts.until(gateway.ask, lambda answer: answer.status != 200, "it is away", 5)
        forecasts.until(gateway.ask, forecasts.is_normal, "forecasts come again", 60)
    assert not callers.failures
    assert {answer.status for answer in callers.answers} == {200, 503}
    assert max(answer.seconds for answer in callers.answers) < 5
    back = gateway.ask()
    assert forecasts.unexplained(back) is not None
