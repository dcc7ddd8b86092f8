"""Durations, addresses, thresholds: what a person writes."""

import pathlib
import re

import pytest

from infra import paths
from loadtests import access, durations, endpoints, itinerary, thresholds


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


@pytest.mark.parametrize("path", sorted(thresholds.FOLDER.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_stack_has_limits_for_every_journey(path: pathlib.Path) -> None:
    limits = thresholds.read(path.stem)
    assert set(limits) == set(itinerary.Journey.MIXED.parts)
    assert limits[itinerary.Journey.EXPERIMENT].split_p


def test_every_stack_of_the_checkout_has_thresholds() -> None:
    stacks = {path.name.split(".")[1] for path in paths.ROOT.glob("Pulumi.*.yaml")}
    assert stacks <= {path.stem for path in thresholds.FOLDER.glob("*.yaml")}


def test_a_stack_without_thresholds_is_named() -> None:
    with pytest.raises(endpoints.LoadTestError, match=r"no thresholds for the stack 'moon'.*local"):
        thresholds.read("moon")


LIMITS = "{error_rate: 0, p50_ms: 1, p95_ms: 2, p99_ms: 3, offered_share: 0.9}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"model: {LIMITS}", "lacks the journey 'experiment'"),
        ("model: {p50: 1}", "model.p50: Extra inputs are not permitted, got 1"),
        (
            f"model: {LIMITS.replace('p95_ms: 2', 'p95_ms: 9')}",
            "have to rise in this order",
        ),
        (f"model: {LIMITS.replace('rate: 0', 'rate: 2')}", "model.error_rate"),
        (f"rivers: {LIMITS}", "rivers"),
        ("model: [", "is no YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key(
    tmp_path: pathlib.Path, text: str, words: str
) -> None:
    path = tmp_path / "local.yaml"
    path.write_text(text)
    with pytest.raises(endpoints.LoadTestError, match=re.escape(words)) as caught:
        thresholds.read("local", tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["mesh:80", "ftp://mesh", "http://", "http://a:99999999", "https://a/path", "http://u:p@a"],
)
def test_what_is_no_gateway_is_refused(url: str) -> None:
    with pytest.raises(endpoints.LoadTestError, match="expected http://host:port or https"):
        access.Access(url).check()


def test_a_token_goes_over_tls_or_stays_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(access.TOKEN, "secret")
    with pytest.raises(endpoints.LoadTestError, match="would read the token") as caught:
        access.Access("http://gateway.example").check()
    assert "secret" not in str(caught.value)
    access.Access("http://127.0.0.1:9000").check()
    access.Access("https://gateway.example").check()


def test_certificates_that_are_none_are_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    with pytest.raises(endpoints.LoadTestError, match="gives no certificates in PEM"):
        access.Access("https://a", ca_file=str(path)).check()
    with pytest.raises(endpoints.LoadTestError, match="has no TLS"):
        access.Access("http://a", ca_file=str(path)).check()
