"""The images of the router and of the bandit, started as a pod is, and asked."""

import json
import pathlib

import pytest

from bellwether.images import building, catalogue, changes, contents
from infra import paths

pytestmark = pytest.mark.timeout(1200)

BUILT = ("router", "bandit")


@pytest.mark.parametrize("name", BUILT)
def test_an_image_answers_as_nobody_in_particular_with_a_read_only_root(checked, name):
    _, found = checked(name)
    assert found.user == catalogue.USER
    assert found.read_only
    assert int(found.capabilities, 16) == 0
    assert not found.new_privileges
    assert found.answer
    assert found.modules > 5


def test_the_bandits_controller_moves_weights_to_the_better_arm(checked):
    _, found = checked("bandit")
    assert "three" in found.answer


@pytest.mark.parametrize("name", BUILT)
def test_an_image_is_within_its_budget_and_its_bill_names_what_is_in_it(checked, builder, name):
    made, _ = checked(name)
    assert 0 < made.megabytes <= made.budget
    bill = json.loads(pathlib.Path(made.sbom).read_text())
    assert bill["bomFormat"] == "CycloneDX"
    named = {(each["name"], each["version"]) for each in bill["components"]}
    (image,) = catalogue.named([name])
    with builder.root(made.reference) as root:
        found = contents.read(root, image, changes.locked(paths.ROOT, image.group))
    assert found.problems == ()
    assert named == {*found.python.items(), *found.debian.items()}
    assert {"mlserver", "python3.11-minimal"} <= {each for each, _ in named}


def test_the_router_has_nothing_of_what_it_does_not_use(checked, builder):
    made, _ = checked("router")
    image = catalogue.named(["router"])[0]
    with builder.root(made.reference) as root:
        found = contents.read(root, image, changes.locked(paths.ROOT, image.group))
    assert not {"lightgbm", "shap", "onnxruntime", "torch", "pytest"} & found.python.keys()
    assert "gcc" not in found.debian


def test_what_was_built_is_not_built_again(builder, checked):
    made, _ = checked("router")
    (again,) = building.build(builder, catalogue.named(["router"]))
    assert again.seconds == 0
    assert again.id == made.id
