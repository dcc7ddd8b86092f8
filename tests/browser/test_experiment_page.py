"""The experiment's page: what it shows is what the API says, and its buttons do what they say."""

import math
import re
import uuid

import httpx
import pytest
from playwright.sync_api import expect

from bellwether import predict
from runtimes.bandit import declaration
from tests.conformance import apply
from tests.conformance.environment import eventually
from tests.conformance.worlds import World

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

EXPERIMENT = "console-experiment"
POLICY = f"console-{uuid.uuid4().hex[:8]}"
"""A policy goes on from its log, so a name that has none."""
WORTH = {"baseline-predictor": 0.03, "ensemble-predictor": 0.05}
"""What an answer of each arm is made out to be worth: no noise, so that one is soon the better."""


class Watched:
    """An experiment of this test's own, whose policy moves every second."""

    def __init__(self, up, environment):
        self.where, self.mesh = up.endpoints(), environment.mesh_url
        self.namespace = environment.namespace
        self._body = predict.inference_request(predict.newest(up, "SPX", None))

    def _at(self, group, plural, name):
        return f"{self.mesh}/apis/{group}/namespaces/{self.namespace}/{plural}/{name}"

    @property
    def policy(self):
        """The policy as the API has it."""
        return httpx.get(self._policy).raise_for_status().json()

    @property
    def candidates(self):
        """Weight by arm, as the API has it."""
        url = self._at("mlops.seldon.io/v1alpha1", "experiments", EXPERIMENT)
        found = httpx.get(url).raise_for_status().json()["spec"]["candidates"]
        return {each["name"]: each["weight"] for each in found}

    @property
    def _policy(self):
        return self._at(declaration.API_VERSION, declaration.PLURAL, POLICY)

    def declare(self):
        spec = {
            "experiment": EXPERIMENT,
            "algorithm": {"name": "thompson"},
            "rewardKind": "continuous",
            "updateFrequency": "1s",
        }
        manifest = {
            "apiVersion": declaration.API_VERSION,
            "kind": declaration.KIND,
            "metadata": {"name": POLICY},
            "spec": spec,
        }
        httpx.put(self._policy, json=manifest).raise_for_status()

    def remove(self):
        httpx.delete(self._policy).raise_for_status()

    def answer(self, count=60):
        """Ask so often, and say what each answer was worth."""
        named = {"seldon-model": f"{EXPERIMENT}.experiment"}
        with httpx.Client(base_url=self.where.gateway, timeout=30) as gateway:
            answers = [
                gateway.post("/v2/models/any/infer", json=self._body, headers=named)
                for _ in range(count)
            ]
            ids = [each.headers["x-request-id"] for each in answers]
            arms = [
                each.headers["x-seldon-route"].strip(":").rpartition("_")[0] for each in answers
            ]
            worth = [WORTH[arm] + 1e-4 * math.sin(at) for at, arm in enumerate(arms)]
            inputs = [
                {"name": "prediction_id", "shape": [count], "datatype": "BYTES", "data": ids},
                {"name": "value", "shape": [count], "datatype": "FP64", "data": worth},
            ]
            gateway.post("/v2/models/reward/infer", json={"inputs": inputs}).raise_for_status()


@pytest.fixture(scope="module")
def watched(up, environment):
    found = Watched(up, environment)
    with World(environment, apply.MeshApplier(environment), {}) as world:
        world.experiment(EXPERIMENT, [(arm, 50) for arm in WORTH])
        found.declare()
        try:
            found.answer()

            def moved():
                epochs = found.policy.get("status", {}).get("epochs", [])
                return any(each["applied"] for each in epochs)

            eventually(moved, "an epoch has moved the weights", 30)
            yield found
        finally:
            found.remove()


def shown(page, arm, column):
    """What a row of the arms' table shows in a column."""
    table = page.locator("#board table").first
    headings = table.locator("th").all_inner_texts()
    row = table.locator("tbody tr", has_text=arm)
    return row.locator("td").nth(headings.index(column)).inner_text()


def test_shares_and_beliefs_are_those_of_the_api(console, watched):
    with console.visit(f"/experiment/?name={EXPERIMENT}") as page:
        expect(page.locator("#board table").first).to_contain_text("ensemble-predictor")

        def same():
            weights, status = watched.candidates, watched.policy["status"]
            total = sum(weights.values())
            for arm in status["arms"]:
                name, posterior = arm["name"], arm["posterior"]
                if (
                    shown(page, name, "weight") != str(weights[name])
                    or shown(page, name, "share") != f"{weights[name] / total:.1%}"
                    or shown(page, name, "decisions") != f"{arm['decisions']:,}"
                    or shown(page, name, "rewards") != f"{arm['rewards']:,}"
                    or shown(page, name, "mean reward") != f"{posterior['mean']:.4g}"
                    or shown(page, name, "± sd") != f"{posterior['sd']:.4g}"
                ):
                    return False
            return True

        # The policy goes on deciding while the page is read.
        eventually(same, "the page shows what the API says", 20, 0.2)
        weights = watched.candidates
        assert weights["ensemble-predictor"] > weights["baseline-predictor"]
        for title in ("Belief in each arm", "Regret", "Weights over time"):
            card = page.locator(
                "#board section", has=page.get_by_role("heading", name=title, exact=True)
            )
            expect(card.locator("svg.chart")).to_be_visible()


def test_each_epoch_is_listed_with_its_split(console, watched):
    with console.visit(f"/experiment/?name={EXPERIMENT}") as page:
        rows = page.locator("#epochs_log tbody tr")
        expect(rows.filter(has_text="applied").first).to_be_visible()
        told = {each["epoch"]: each["weights"] for each in watched.policy["status"]["epochs"]}
        newest = rows.first.locator("td").all_inner_texts()
        number = int(newest[0])
        eventually(lambda: number in told or number < min(told), "the epoch is known", 1)
        if number in told:
            total = sum(told[number].values())
            for arm, weight in told[number].items():
                assert f"{arm} {weight / total:.1%}" in newest[2]


def test_freeze_and_activate_act_on_the_policy(console, watched):
    with console.visit(f"/experiment/?name={EXPERIMENT}") as page:
        freeze = page.get_by_role("button", name="Freeze")
        activate = page.get_by_role("button", name="Activate", exact=True)
        expect(activate).to_be_disabled()
        freeze.click()
        expect(page.locator("#done")).to_contain_text(f"{POLICY} is frozen")
        expect(page.locator(".lead .pill")).to_have_text("frozen")
        assert watched.policy["spec"]["mode"] == "frozen"
        expect(freeze).to_be_disabled()
        weights = watched.candidates
        activate.click()
        expect(page.locator("#done")).to_contain_text(
            re.compile(f"{POLICY} acts: it is the policy that acted last")
        )
        expect(page.locator(".lead .pill")).to_have_text("active")
        body = watched.policy
        assert body["spec"]["mode"] == "active"
        assert body["spec"]["updateFrequency"] == "1s"
        notes = body["metadata"]["annotations"]
        assert notes["bandits.bellwether.dev/gate"] == "it is the policy that acted last"
        assert set(weights) == set(watched.candidates)


def test_the_buttons_work_by_keyboard(console, watched):
    with console.visit(f"/experiment/?name={EXPERIMENT}") as page:
        button = page.get_by_role("button", name="Freeze")
        expect(button).to_be_enabled()
        for _ in range(40):
            page.keyboard.press("Tab")
            if button.evaluate("each => each === document.activeElement"):
                break
        assert button.evaluate("each => each === document.activeElement"), "Tab leads to it"
        page.keyboard.press("Enter")
        expect(page.locator(".lead .pill")).to_have_text("frozen")
        reason = page.get_by_label("Reason, recorded with the policy")
        page.get_by_text("Activate whatever the gate says").focus()
        page.keyboard.press("Enter")
        reason.fill("a test of the console")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator(".lead .pill")).to_have_text("active")
