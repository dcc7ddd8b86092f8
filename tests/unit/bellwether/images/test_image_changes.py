"""Which images a commit changed."""

import shutil
import subprocess

import pytest

from bellwether.images import catalogue, changes
from infra import paths


def _git(root, *arguments):
    command = ["git", "-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false"]
    subprocess.run([*command, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    """A repository of what images are made of, at one commit."""
    for name in ("pyproject.toml", "uv.lock", ".dockerignore", "README.md"):
        shutil.copy(paths.ROOT / name, tmp_path / name)
    for name in ("runtimes", "tools/image"):
        shutil.copytree(
            paths.ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    (tmp_path / "infra").mkdir()
    shutil.copy(paths.ROOT / "infra" / "versions.py", tmp_path / "infra" / "versions.py")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", "-A")
    _git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def _changed(root):
    return changes.names(changes.since("HEAD", root))


def test_nothing_changed_changes_no_image(checkout):
    (checkout / "runtimes" / "router" / "README.md").write_text("other words")
    assert _changed(checkout) == []


def test_a_runtimes_code_changes_the_images_that_have_it(checkout):
    (checkout / "runtimes" / "predictor" / "runtime.py").write_text("# other")
    (checkout / "runtimes" / "bandit" / "Dockerfile").write_text("FROM other")
    assert _changed(checkout) == ["predictor", "explainer", "bandit"]


def test_what_all_share_changes_all(checkout):
    path = checkout / "infra" / "versions.py"
    path.write_text(path.read_text().replace('"debian:', '"other:'))
    assert _changed(checkout) == [image.name for image in catalogue.IMAGES]


def test_another_version_of_another_group_changes_nothing(checkout):
    path = checkout / "infra" / "versions.py"
    path.write_text(path.read_text().replace("STRIMZI = ", "STRIMZI_OPERATOR = "))
    lock = checkout / "uv.lock"
    lock.write_text(lock.read_text() + "\n")
    assert _changed(checkout) == []


def test_a_new_runtime_is_a_change(checkout):
    _git(checkout, "rm", "-rq", "runtimes/guard")
    _git(checkout, "commit", "-qm", "without guard")
    shutil.copytree(paths.ROOT / "runtimes" / "guard", checkout / "runtimes" / "guard")
    found = {each.name: each for each in changes.since("HEAD", checkout)}
    assert found["guard"].before is None
    assert changes.names(tuple(found.values())) == ["guard"]


def test_an_unknown_commit_is_refused(checkout):
    with pytest.raises(catalogue.ImageError, match="knows no commit 'nowhere'"):
        changes.since("nowhere", checkout)
