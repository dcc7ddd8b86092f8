"""An object may excuse itself where the table allows it, with a reason that every audit shows."""

import exemplary_stack as exemplary
import pytest

from policies import exceptions, judge, pack

READ_ONLY = (
    "spec",
    "template",
    "spec",
    "containers",
    0,
    "securityContext",
    "readOnlyRootFilesystem",
)


def _annotated(text):
    resources = exemplary.changed("Deployment/console", READ_ONLY, False)
    console = next(each for each in resources if each.name == "Deployment/console")
    console.inputs["metadata"]["annotations"] = {exceptions.ANNOTATION: text}
    return resources


def test_an_exception_with_a_reason_is_listed_and_stops_nothing():
    text = "read-only-root: Shiny compiles its styles into its own folder"
    (found,) = judge.judge(_annotated(text), exemplary.PRODUCTION)
    assert (found.rule, found.severity) == ("read-only-root", "excused")
    assert "Shiny compiles its styles" in found.message


def test_an_excused_fault_is_advice_to_the_engine():
    resources = _annotated("read-only-root: Shiny compiles its styles into its own folder")
    console = next(each for each in resources if each.name == "Deployment/console")
    rule = next(each for each in pack.rules.ALL if each.name == "read-only-root")
    (found,) = judge.one(rule, console, exemplary.PRODUCTION)
    assert found.severity != "mandatory"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("read-only-root", "gives no reason"),
        ("read-only-root: because", "gives no reason"),
        ("read-only-rot: it has to write its own root", "did you mean `read-only-root`?"),
        ("plaintext-secret: it is only the test's password", "nothing is excused"),
        ("restricted-pod: the image is not ours to change", "in production"),
    ],
)
def test_an_exception_that_excuses_nothing_is_itself_a_fault(text, why):
    found = judge.judge(_annotated(text), exemplary.PRODUCTION)
    assert {each.severity for each in found} == {"mandatory"}
    assert any(each.rule == "exception" and why in each.message for each in found)
    assert any(each.rule == "read-only-root" for each in found)


def test_production_refuses_what_staging_still_excuses():
    text = "restricted-pod: the image is not ours to change"
    path = ("spec", "template", "spec", "hostNetwork")
    resources = exemplary.changed("Deployment/console", path, True)
    console = next(each for each in resources if each.name == "Deployment/console")
    console.inputs["metadata"]["annotations"] = {exceptions.ANNOTATION: text}
    assert [each.severity for each in judge.judge(resources, exemplary.STAGING)] == ["excused"]
    refused = judge.judge(resources, exemplary.PRODUCTION)
    assert {(each.rule, each.severity) for each in refused} == {
        ("restricted-pod", "mandatory"),
        ("exception", "mandatory"),
    }


def test_each_line_excuses_from_one_rule():
    text = "read-only-root: Shiny compiles its styles\nlabels: an operator removes them again"
    console = next(r for r in _annotated(text) if r.name == "Deployment/console")
    assert set(exceptions.of(console)) == {"read-only-root", "labels"}
