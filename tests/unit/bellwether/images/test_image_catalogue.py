"""The table of images, beside their Dockerfiles and uv.lock."""

import re
import tomllib

import pytest

from bellwether.images import catalogue, changes, checking, contents
from infra import paths, settings
from infra.cluster import settings as cluster

RUNS_AS = re.compile(r"^USER (\S+)$", re.MULTILINE)


def _dockerfile(image: catalogue.Image) -> str:
    return (paths.ROOT / image.dockerfile).read_text()


@pytest.mark.parametrize("image", catalogue.IMAGES, ids=lambda image: image.name)
class TestDockerfile:
    def test_copies_the_code_that_the_table_names(self, image):
        copied = re.findall(r"^COPY (runtimes/\w+) ", _dockerfile(image), re.MULTILINE)
        assert sorted(copied) == sorted(image.folders)

    def test_installs_the_group_that_the_table_names(self, image):
        assert re.findall(r"/tools/locked\.sh (\S+)", _dockerfile(image)) == [image.group]

    def test_takes_its_base_as_an_argument_and_names_no_image(self, image):
        froms = re.findall(r"^FROM (\S+)", _dockerfile(image), re.MULTILINE)
        assert froms == ["${BASE}", "${BASE}", "tools", "tools", "${BASE}"]
        assert _dockerfile(image).count("ARG BASE") == 1

    def test_ends_as_a_user_without_a_name(self, image):
        assert RUNS_AS.findall(_dockerfile(image)) == [f"{catalogue.USER}:{catalogue.USER}"]


def test_every_image_of_the_catalogue_is_one_that_a_stack_pins():
    assert {image.name for image in catalogue.IMAGES} <= set(cluster.IMAGES)


def test_every_runtime_with_a_dockerfile_is_in_the_catalogue_and_has_a_trial():
    folders = {path.parent.name for path in (paths.ROOT / "runtimes").glob("*/Dockerfile")}
    assert {image.name for image in catalogue.IMAGES} == folders == set(checking.TRIALS)


def test_an_image_has_the_versions_that_were_tested_in_the_serving_environment():
    command_line = changes.locked(paths.ROOT, "serving")
    tested = contents.pins(command_line)
    groups = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["dependency-groups"]
    for group in sorted(
        {i.group for i in catalogue.IMAGES} & {g for g in groups if g.startswith("image-")}
    ):
        pins = contents.pins(changes.locked(paths.ROOT, group))
        assert len(pins) > 50
        different = {k: (v, tested[k]) for k, v in pins.items() if k in tested and tested[k] != v}
        assert different == {}, group


def test_an_unknown_image_is_refused_with_the_nearest():
    with pytest.raises(settings.SettingsError, match="did you mean 'router'"):
        catalogue.named(["ruoter"])
