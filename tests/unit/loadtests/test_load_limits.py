"""Durations, addresses, thresholds: what a person writes."""

import pathlib
import re
import textwrap

import pytest

from loadtests import durations, endpoints, thresholds


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("2m", 120), ("1m30s", 90), ("1h", 3600), (" 5s ", 5)]
)
def test_a_duration_is_read(text: str, seconds: int) -> None:
    assert durations.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "30 s", "-5s", "1.5m", "30sec", "5s2m"])
def test_what_is_no_duration_is_refused_with_what_is_right(text: str) -> None:
    with pytest.raises(endpoints.LoadTestError, match="30s, 2m or 1m30s"):
        durations.seconds(text)


@pytest.mark.parametrize("text", ["0s", "4s", "25h"])
def test_a_duration_out_of_range_is_refused_with_the_range(text: str) -> None:
    with pytest.raises(endpoints.LoadTestError, match="5s to 24h"):
        durations.seconds(text)


def test_an_address_is_taken_apart() -> None:
    assert endpoints.address("http://127.0.0.1:9000") == endpoints.Address("127.0.0.1", 9000)
    assert endpoints.address("http://mesh").port == 80


@pytest.mark.parametrize("url", ["https://mesh", "127.0.0.1:9000", "http://", "http://a:99999999"])
def test_what_is_no_plain_http_address_is_refused(url: str) -> None:
    with pytest.raises(endpoints.LoadTestError, match="expected http://host:port"):
        endpoints.address(url)


@pytest.mark.parametrize(
    ("route", "arm"),
    [
        (":baseline-predictor_3:", endpoints.Arm("baseline-predictor", "3")),
        (":a_1:, :b_2:", endpoints.Arm("a", "1")),
        ("", None),
        (None, None),
        ("baseline", None),
    ],
)
def test_the_arm_is_read_from_the_route(route: str | None, arm: endpoints.Arm | None) -> None:
    assert endpoints.arm(route) == arm


def test_every_stack_in_the_file_has_limits_for_both_journeys() -> None:
    limits = thresholds.read("local")
    assert set(limits) == {thresholds.Journey.MODELS, thresholds.Journey.EXPERIMENT}
    assert limits[thresholds.Journey.EXPERIMENT].split_p


def test_a_stack_without_thresholds_is_named() -> None:
    with pytest.raises(endpoints.LoadTestError, match="no thresholds for the stack 'moon'"):
        thresholds.read("moon")


LIMITS = "{error_rate: 0, p50_ms: 1, p95_ms: 2, p99_ms: 3, offered_share: 0.9}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"local: {{models: {LIMITS}}}", "lacks the journey 'experiment'"),
        ("local: {models: {p50: 1}}", "local.models.p50: Extra inputs are not permitted, got 1"),
        (
            f"local: {{models: {LIMITS.replace('p95_ms: 2', 'p95_ms: 9')}}}",
            "have to rise in this order",
        ),
        (f"local: {{models: {LIMITS.replace('rate: 0', 'rate: 2')}}}", "local.models.error_rate"),
        (f"local: {{rivers: {LIMITS}}}", "local.rivers"),
        ("local: [", "is no YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key(
    tmp_path: pathlib.Path, text: str, words: str
) -> None:
    path = tmp_path / "thresholds.yaml"
    path.write_text(textwrap.dedent(text))
    with pytest.raises(endpoints.LoadTestError, match=re.escape(words)) as caught:
        thresholds.read("local", path)
    assert str(path) in str(caught.value)
