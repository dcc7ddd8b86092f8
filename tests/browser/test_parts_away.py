"""A part that is away is named where its values would be, and missed by nothing else."""

import pytest
from playwright.sync_api import expect

from tests.stack import forecasts

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

AWAY = [
    ("valkey", "/features/", "Valkey"),
    ("prometheus", "/models/", "Prometheus"),
    ("mesh", "/experiment/", "API server"),
    ("gateway", "/regimes/?symbol=SPX", "gateway"),
    ("kafka", "/predictions/", "Kafka"),
]
PATIENCE = 60_000
"""Milliseconds: Kafka takes its time to come back."""


@pytest.mark.parametrize("away", AWAY, ids=[each[0] for each in AWAY])
def test_a_part_that_is_away_is_named_until_it_is_back(up, console, answer, away):
    part, path, name = away
    with console.visit(path) as page:
        with forecasts.Part(up, part).down():
            page.reload()
            alert = page.locator("main [role=alert]").first
            expect(alert).to_contain_text(f"{name} is away", timeout=PATIENCE)
            expect(page.locator("#part_states summary")).to_contain_text(
                f"{name} away", timeout=PATIENCE
            )
        if part == "gateway":
            page.reload()  # it is asked once a visit
        expect(page.locator("main [role=alert]")).to_have_count(0, timeout=PATIENCE)
        expect(page.locator("#part_states summary")).to_contain_text(
            "all parts answer", timeout=PATIENCE
        )
