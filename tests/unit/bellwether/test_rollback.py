"""Going back: digests are written where they belong, and a good revision is run as it was."""

import subprocess
import sys

import pytest

from bellwether import environment, revision, rollback
from infra import paths, settings
from infra.cluster import settings as cluster_settings

DIGEST = "sha256:" + "e" * 64


@pytest.fixture
def file(tmp_path):
    copied = tmp_path / "Pulumi.dev.yaml"
    copied.write_text((paths.ROOT / "Pulumi.dev.yaml").read_text())
    return copied


@pytest.fixture
def repository(tmp_path):
    """A repository of two commits, each with a `note`."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for command in (["init", "-q", "-b", "main"], ["config", "user.email", "a@b"],
                    ["config", "user.name", "a"]):  # fmt: skip
        subprocess.run(["git", "-C", folder, *command], check=True)
    for text in ("one", "two"):
        (folder / "note").write_text(text)
        subprocess.run(["git", "-C", folder, "add", "note"], check=True)
        subprocess.run(["git", "-C", folder, "commit", "-q", "-m", text], check=True)
    return folder


def test_pinned_images_are_in_the_settings_and_everything_else_stays(file):
    before = file.read_text()
    rollback.pin(file, "ghcr.io/ours/bellwether", {"router": DIGEST, "bandit": DIGEST})
    images = cluster_settings.read(file).images
    assert images.reference("router") == f"ghcr.io/ours/bellwether/router@{DIGEST}"
    assert images.digests["bandit"] == DIGEST
    changed = [
        (a, b) for a, b in zip(before.splitlines(), file.read_text().splitlines(), strict=True)
        if a != b
    ]  # fmt: skip
    assert len(changed) == 3


def test_pinning_nothing_changes_nothing(file):
    before = file.read_text()
    rollback.pin(file, "", {})
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("digests", "said"),
    [
        ({"no-such": DIGEST}, "has no line `no-such: …`"),
        ({"router": "latest"}, "expected a digest"),
    ],
)
def test_what_cannot_be_pinned_is_said_and_the_file_stays(file, digests, said):
    before = file.read_text()
    with pytest.raises(settings.SettingsError, match=said):
        rollback.pin(file, "", digests)
    assert file.read_text() == before


def test_a_state_is_the_same_after_its_tags(file):
    state = rollback.State("c" * 40, "ghcr.io/ours", {"router": DIGEST})
    assert rollback.State.read(state.tags()) == state
    assert all(len(name) <= 40 and len(value) <= 256 for name, value in state.tags().items())


def test_a_stack_that_was_never_good_has_no_state():
    assert rollback.State.read({"vcs:kind": "github"}) is None


def test_a_worktree_has_the_revisions_files_and_is_gone_afterwards(repository):
    with revision.worktree("HEAD~1", repository) as place:
        assert (place / "note").read_text() == "one"
    assert not place.exists()
    listed = subprocess.run(
        ["git", "-C", repository, "worktree", "list"], check=True, capture_output=True, text=True
    )
    assert len(listed.stdout.splitlines()) == 1


def test_a_revision_that_is_none_is_named(repository):
    with pytest.raises(revision.RevisionError, match="no-such"):
        revision.commit("no-such", repository)


@pytest.fixture
def good(monkeypatch, repository, file):
    """A good state of the first commit, whose program is a script that writes down what it is told."""
    state = rollback.State(revision.commit("HEAD~1", repository), "", {"router": DIGEST})
    monkeypatch.setattr(rollback, "last_good", lambda _stack: state)
    worktree = revision.worktree
    monkeypatch.setattr(rollback.revision, "worktree", lambda wanted: worktree(wanted, repository))
    monkeypatch.setattr(
        rollback, "pin", lambda path, _registry, _digests: path.write_text(file.read_text())
    )
    return state


def test_a_rollback_runs_the_good_revisions_own_up(good, monkeypatch, tmp_path):
    ran = []

    def run(place, *arguments):
        ran.append(((place / "note").read_text(), (place / "Pulumi.dev.yaml").exists(), arguments))
        return subprocess.run(
            [sys.executable, "-c", ""], check=False, capture_output=True, text=True
        )

    monkeypatch.setattr(rollback.revision, "bellwether", run)
    assert rollback.run(environment.Stack("dev")) == good
    assert ran == [("one", True, ("up", "-s", "dev"))]


def test_a_rollback_that_fails_says_in_which_state_the_stack_is(good, monkeypatch):
    script = "import sys; sys.exit('the cluster is away')"
    monkeypatch.setattr(
        rollback.revision,
        "bellwether",
        lambda *_: subprocess.run(
            [sys.executable, "-c", script], check=False, capture_output=True, text=True
        ),
    )
    with pytest.raises(rollback.RollbackError, match="between two states") as caught:
        rollback.run(environment.Stack("dev"))
    assert "the cluster is away" in str(caught.value)
