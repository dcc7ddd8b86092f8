"""The predictions' page: the newest, one through every step, and ids that lead nowhere."""

import pytest
from playwright.sync_api import expect

from infra.catalogue import pipelines
from runtimes import contract

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def test_a_prediction_is_followed_through_every_step(console, answer):
    with console.visit(f"/predictions/?id={answer.id}") as page:
        trace = page.locator("#trace")
        expect(trace.locator("#volatility")).to_have_attribute(
            "data-value", repr(answer.outputs[contract.PREDICTION][0])
        )
        expect(trace).to_contain_text(f"SPX on {answer.date}")
        expect(trace).to_contain_text(answer.model[0])
        steps = trace.locator("[data-step]")
        expect(steps).to_have_count(len(pipelines.PREDICTION.spec.steps))
        ran = [
            step.get_attribute("data-step")
            for step in steps.all()
            if step.get_attribute("data-state") == "ran"
        ]
        assert ran == [each.rpartition("_")[0] for each in answer.route[:-1]]
        decision = trace.locator("[data-step=decision]")
        decision.locator("summary").first.press("Enter")
        row = decision.locator("tr", has=page.get_by_text("position", exact=True))
        expect(row.last).to_contain_text(f"{answer.outputs[contract.POSITION][0]:.4g}")


def test_the_newest_predictions_are_listed_and_lead_on(console, answer):
    with console.visit("/predictions/") as page:
        row = page.locator("#newest tbody tr", has_text=answer.id)
        expect(row).to_contain_text(f"{answer.outputs[contract.PREDICTION][0]:.1%}")
        row.locator("a").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#trace")).to_contain_text(f"SPX on {answer.date}")
        expect(page.get_by_label("Prediction id")).to_have_value(answer.id)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("4b23ccfa-0000-0000-0000-000000000000", "Nothing is known of"),
        ("", "Give a prediction's id"),
        ("x" * 300, "at most 256 characters; this has 300"),
        ("two words", "no spaces"),
        ("<script>alert(1)</script>", "Nothing is known of '<script>alert(1)</script>'"),
    ],
    ids=["unknown", "empty", "long", "spaces", "markup"],
)
def test_an_id_that_leads_nowhere_is_answered_with_what_is_wrong(console, answer, given, said):
    with console.visit("/predictions/") as page:
        field = page.get_by_label("Prediction id")
        field.fill(given)
        field.press("Enter")
        expect(page.locator("#trace [role=alert]")).to_contain_text(said)
        expect(page.locator("#newest tbody tr").first).to_be_visible()
