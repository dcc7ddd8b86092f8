"""Regimes, features and models: what they show is what the parts say."""

import json
import pathlib
import re

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from runtimes import contract
from runtimes.contract import regimes
from tests.browser import conftest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def test_the_regime_is_the_pipelines_and_its_measures_are_the_historys(console, answer, gateway):
    flat = gateway.enriched()[contract.HISTORY]
    history = np.array(flat).reshape(1, 60, -1)
    with console.visit("/regimes/?symbol=SPX") as page:
        regime = answer.outputs[contract.REGIME][0]
        expect(page.locator("#regime")).to_have_text(re.compile(regime, re.IGNORECASE))
        expect(page.locator("#market-volatility")).to_have_attribute(
            "data-value", repr(float(regimes.volatility(history)[0]))
        )
        expect(page.locator(".strip .cell")).to_have_count(60 - regimes.DAYS + 1)
        expect(page.locator(".strip .cell").last).to_have_class(f"cell {regimes.of(history)[0]}")
        row = page.locator("#chosen tbody tr", has_text=answer.id[:8])
        expect(row).to_contain_text(regime)


def test_features_are_shown_as_they_were_enriched(console, answer, gateway):
    names = conftest.features(gateway, "baseline-predictor")
    values = dict(zip(names, gateway.enriched()[contract.FEATURES], strict=True))
    with console.visit("/features/?symbol=SPX") as page:
        expect(page.locator("[data-quality=SPX]")).to_have_text(f"{answer.quality:.2f}")
        expect(page.locator("#fresh tr", has_text="SPX")).to_contain_text(answer.date)
        card = page.locator("section", has=page.get_by_role("heading", name="SPX: the newest"))
        expect(card.locator("tbody tr").first).to_be_visible()
        shown = dict(row.locator("td").all_inner_texts() for row in card.locator("tbody tr").all())
        for name, value in values.items():
            assert shown[name] == f"{value:.5g}", name
        expect(page.locator("#alerts")).to_contain_text("Alerts of drift")


def test_every_model_is_listed_and_its_card_is_the_artifacts(console, environment):
    url = (
        f"{environment.mesh_url}/apis/mlops.seldon.io/v1alpha1/namespaces/"
        f"{environment.namespace}/models"
    )
    models = {each["metadata"]["name"]: each for each in httpx.get(url).json()["items"]}
    uri = models["baseline-predictor"]["spec"]["storageUri"]
    card = json.loads((pathlib.Path(uri.removeprefix("file://")) / "card.json").read_text())
    with console.visit("/models/?name=baseline-predictor") as page:
        expect(page.locator("#summary")).to_have_text(card["summary"])
        for name, value in card["held_out"]["measures"].items():
            expect(page.locator(f"[data-measure={name}]")).to_have_text(f"{value:.4g}")
        expect(page.locator("#came_true")).to_contain_text("What came true")
        rows = page.locator("#all_models tbody tr")
        expect(rows).to_have_count(len(models))
        listed = [row.locator("td").first.inner_text() for row in rows.all()]
        assert set(listed) == set(models)


def test_a_name_that_is_none_is_said_with_those_that_there_are(console, up):
    with console.visit("/models/?name=nobody") as page:
        expect(page.locator("#card [role=alert]")).to_contain_text("baseline-predictor")
    with console.visit("/experiment/?name=nobody") as page:
        expect(page.locator("#board [role=alert]")).to_contain_text("financial-mab-experiment")
    with console.visit("/regimes/?symbol=SPXX") as page:
        expect(page.locator("#market [role=alert]")).to_contain_text("did you mean 'SPX'?")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_are_readable_and_the_choice_is_kept(console, up, scheme):
    other = {"light": "dark", "dark": "light"}[scheme]
    with console.visit("/experiment/", color_scheme=scheme) as page:
        page.locator("#board table").first.wait_for()
        assert contrast(page) > 7
        page.get_by_role("button", name="light and dark").press("Enter")
        assert page.evaluate("document.documentElement.dataset.theme") == other
        assert contrast(page) > 7
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == other


def contrast(page):
    """The contrast of text on a card (WCAG 2.2)."""
    colours = page.evaluate(
        """() => {
            const card = getComputedStyle(document.querySelector(".card"));
            return [card.color, card.backgroundColor];
        }"""
    )
    dark, light = sorted(luminance(re.findall(r"[\d.]+", each)[:3]) for each in colours)
    return (light + 0.05) / (dark + 0.05)


def luminance(channels):
    linear = [
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4
        for value in (float(each) / 255 for each in channels)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_content_is_reached_by_one_key(console, up):
    with console.visit("/models/") as page:
        page.locator("#all_models tbody tr").first.wait_for()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
