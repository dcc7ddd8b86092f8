"""Artifacts reach a real S3 server, and come back as a pod fetches them."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from bellwether import artifacts as command
from bellwether import training
from infra import paths, settings
from infra.cluster import artifacts, component
from infra.cluster import settings as cluster_settings

KEY, WORD = "an-access-key", "a-canary-of-a-secret"
RCLONE = pathlib.Path(sys.prefix) / "bin" / "rclone"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """A server that speaks S3, with an empty bucket; give its address and the bucket's folder."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "tested").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serving = subprocess.Popen(
        [RCLONE, "serve", "s3", f"--addr=127.0.0.1:{port}", str(folder)],
        env={**os.environ, "RCLONE_CONFIG": os.devnull, "RCLONE_AUTH_KEY": f'"{KEY},{WORD}"'},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1)
        except urllib.error.HTTPError:
            break  # it answers, and wants a signature
        except OSError:
            assert time.monotonic() < deadline
            assert serving.poll() is None
        else:
            break
    yield f"http://127.0.0.1:{port}", folder / "tested"
    serving.send_signal(signal.SIGTERM)
    serving.wait(timeout=10)


@pytest.fixture
def stack(bucket, tmp_path, monkeypatch):
    """A checkout whose stack `staging` has that bucket, and two trained artifacts; give the stack."""
    address, _ = bucket
    given = settings.configuration(paths.ROOT / "Pulumi.staging.yaml")
    given["bellwether:artifacts"] = {"bucket": "tested", "endpoint": address}
    for name in cluster_settings.SECRETS:
        given[f"bellwether:{name}"] = {"secure": "v1:…"}
    wanted = cluster_settings.parse(given, "test")
    monkeypatch.setattr(cluster_settings, "read", lambda _: wanted)
    folders = {}
    for name in ("enrichment", "baseline"):
        folders[name] = tmp_path / name / "sha256-1"
        (folders[name] / "part").mkdir(parents=True)
        (folders[name] / "model.json").write_text(f"the bytes of {name}")
        (folders[name] / "part" / "more.bin").write_bytes(bytes(range(256)))
    keys = {name: f"{number:064x}" for number, name in enumerate(folders)}
    monkeypatch.setattr(training, "states", lambda *_: folders)
    monkeypatch.setattr(training, "provenances", lambda *_: keys)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", WORD)
    return wanted, folders, keys


def test_what_is_pushed_once_is_there_and_pushed_again_is_the_same(stack):
    made = command.push("staging")
    assert [(each.artifact, each.files, each.new) for each in made] == [
        ("baseline", 2, True),
        ("enrichment", 2, True),
    ]
    assert all(not each.new for each in command.push("staging"))


def test_other_bytes_never_come_behind_an_old_uri(stack, bucket):
    _, folders, keys = stack
    command.push("staging")
    (folders["baseline"] / "model.json").write_text("something else")
    with pytest.raises(command.ArtifactsError, match="never changed behind its URI"):
        command.push("staging")
    kept = bucket[1] / "artifacts" / "baseline" / f"sha256-{keys['baseline']}" / "model.json"
    assert kept.read_text() == "the bytes of baseline"


def test_the_container_that_fetches_gets_the_same_bytes(stack, tmp_path, monkeypatch):
    wanted, folders, keys = stack
    command.push("staging")
    site = component.Site(wanted, None, artifacts.uris(wanted, keys))
    container = artifacts.fetched(site, "enrichment").container
    file = tmp_path / "rclone.conf"
    file.write_text(artifacts.rclone_configuration(wanted, KEY, WORD))
    _, _, *arguments = container["command"]
    target = tmp_path / "fetched"
    arguments[-1] = str(target)
    subprocess.run([RCLONE, f"--config={file}", *arguments], check=True, capture_output=True)
    for path in folders["enrichment"].rglob("*.*"):
        found = target / path.relative_to(folders["enrichment"])
        assert found.read_bytes() == path.read_bytes()


def test_a_wrong_secret_is_told_without_being_shown(stack, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-canary")
    with pytest.raises(command.ArtifactsError) as caught:
        command.push("staging")
    assert "AWS_SECRET_ACCESS_KEY" in str(caught.value)
    assert "wrong-canary" not in str(caught.value)


def test_what_is_not_trained_is_named(stack, monkeypatch):
    monkeypatch.setattr(training, "states", lambda *_: {"baseline": None})
    with pytest.raises(command.ArtifactsError, match=r"trained first.*baseline"):
        command.push("staging")
