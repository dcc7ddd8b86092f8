"""The explanations' page: the pipeline's own, two methods side by side, and what if."""

import json

import pytest
from playwright.sync_api import expect

from runtimes import contract
from tests.browser import conftest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


@pytest.fixture
def page(console, answer):
    with console.visit(f"/explanations/?id={answer.id}") as found:
        yield found


def test_the_five_largest_contributions_are_those_of_the_answer(page, answer):
    expect(page.locator("#volatility")).to_have_attribute(
        "data-value", repr(answer.outputs[contract.PREDICTION][0])
    )
    card = page.locator("section", has=page.get_by_role("heading", name="The five that mattered"))
    rows = card.locator("tbody tr")
    expect(rows).to_have_count(5)
    shown = [row.locator("td").all_inner_texts() for row in rows.all()]
    told = answer.document(contract.EXPLANATION)["attributions"]
    assert shown == [
        [
            each["feature"],
            f"{each['value']:.4g}",
            each["unit"],
            f"{each['contribution']:+.4f}",
            f"{each['effect_percent']:+.1f} %",
        ]
        for each in told
    ]


def test_shap_lime_and_a_counterfactual_are_made_with_the_answers_artifact(page, answer):
    waterfall = page.locator("svg[aria-label^=Waterfall]")
    told = answer.document(contract.EXPLANATION)["attributions"]
    for each in told:
        expect(waterfall).to_contain_text(f"{each['effect_percent']:+.1f} %")
    beside = page.locator("#beside")
    expect(beside.locator("tbody tr")).to_have_count(8)
    shap = {
        row.locator("td").first.inner_text(): row.locator("td").last.inner_text()
        for row in beside.locator("tbody tr").all()
    }
    for each in told:
        if each["feature"] in shap:
            assert shap[each["feature"]] == f"{each['contribution']:+.3f}"
    expect(page.locator("#flips")).to_contain_text("volatility above")
    expect(page.locator("#flips")).to_contain_text("found")


def test_a_slider_asks_the_deployed_model(page, answer, gateway):
    slider = page.locator("input[data-feature]").first
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    shown = page.locator("#what-if-volatility")
    expect(shown).to_be_visible()
    name, value = slider.get_attribute("data-feature"), float(slider.input_value())
    model = answer.model[0]
    names = conftest.features(gateway, model)
    enriched = gateway.enriched()
    features = list(enriched[contract.FEATURES])
    assert features[names.index(name)] != value, "the slider was moved"
    features[names.index(name)] = value
    channels = len(enriched[contract.HISTORY]) // 60
    asked = {
        contract.FEATURES: ([1, len(features)], features),
        contract.HISTORY: ([1, 60, channels], enriched[contract.HISTORY]),
    }
    body = {
        "inputs": [
            {"name": tensor, "shape": shape, "datatype": "FP64", "data": data}
            for tensor, (shape, data) in asked.items()
        ]
    }
    alone = gateway.post(json.dumps(body).encode(), model=model)
    assert alone.status == 200, alone.text
    expected = alone.outputs[contract.VOLATILITY][0]
    assert expected != answer.outputs[contract.PREDICTION][0]
    expect(shown).to_have_attribute("data-value", repr(expected))


def test_another_border_is_looked_for_and_what_is_none_is_refused(page):
    field = page.get_by_label("Border")
    expect(page.locator("#flips tbody tr").first).to_be_visible()
    field.fill("31")
    page.get_by_role("button", name="Look for it").press("Enter")
    expect(page.locator("#flips")).to_contain_text("0.31")
    page.get_by_label("Border").fill("")
    page.get_by_role("button", name="Look for it").press("Enter")
    expect(page.locator("#flips [role=alert]")).to_contain_text("is no border")


def test_a_prediction_that_does_not_exist_is_said(console, answer):
    with console.visit("/explanations/?id=nobody") as page:
        expect(page.locator("#why [role=alert]")).to_contain_text("Nothing is known of 'nobody'")


def test_the_picture_of_the_readme_is_taken_of_the_whole_page(page, answer):
    """`docs/pictures/console.png` is a copy of what this leaves."""
    expect(page.locator("#flips tbody tr").first).to_be_visible()
    expect(page.locator("input[data-feature]").first).to_be_visible()
    expect(page.locator("#part_states summary")).to_contain_text("all parts answer")
    picture = conftest.SCREENSHOTS / "console.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 50_000
