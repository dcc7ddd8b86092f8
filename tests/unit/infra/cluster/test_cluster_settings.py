"""What a cluster's stack may say, and what it is told when it says something else."""

import pathlib

import pytest

from infra import paths, settings
from infra.cluster import settings as cluster_settings

CANARY = "canary-4711"
MANAGED = {"bootstrap": "kafka.example.com:9093", "username": "us"}


def values(**changes):
    """Staging's settings as Pulumi hands them over, with some changed; None takes one away."""
    given = settings.configuration(paths.ROOT / "Pulumi.staging.yaml")
    for name in ("valkey_password", "artifacts_access_key", "artifacts_secret_key"):
        given[f"bellwether:{name}"] = CANARY
    for name, value in changes.items():
        given[f"bellwether:{name}"] = value
    return {key: value for key, value in given.items() if value is not None}


def parse(**changes):
    given = values(**changes)
    decrypted = {f"bellwether:{name}" for name in cluster_settings.SECRETS}
    return cluster_settings.parse(given, "Pulumi.staging.yaml", decrypted)


def refusal(**changes):
    with pytest.raises(settings.SettingsError) as caught:
        parse(**changes)
    return str(caught.value)


def images(**changes):
    given = dict(values()["bellwether:images"])
    return {**given, **changes}


@pytest.mark.parametrize("stack", ["dev", "staging", "production"])
def test_the_stacks_of_the_repository_are_in_order(stack):
    assert cluster_settings.read(paths.ROOT / f"Pulumi.{stack}.yaml").environment == stack


def test_a_missing_secret_is_named_with_the_command_that_sets_it():
    said = refusal(valkey_password=None)
    assert "`bellwether:valkey_password`" in said
    assert "pulumi config set --secret bellwether:valkey_password" in said


def test_a_secret_in_plain_text_is_refused_and_not_repeated():
    with pytest.raises(settings.SettingsError) as caught:
        cluster_settings.parse(values(), "Pulumi.staging.yaml")
    assert "is a secret in plain text" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_no_error_repeats_a_secret():
    said = refusal(kafka={"own": {}, "managed": None}, environment="staging", seed=-1, data=7)
    assert CANARY not in said
    assert CANARY not in refusal(seldon_licence=None, environment="production")
    assert CANARY not in repr(parse())


def test_a_secret_that_looks_like_a_number_stays_a_text():
    numeric = {"valkey_password": "0123"}
    assert parse(**numeric).secret("valkey_password") == "0123"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"enviroment": "staging"}, "did you mean `environment`?"),
        ({"environment": "huge"}, "bellwether:environment"),
        ({"context": None}, "bellwether:context"),
        (
            {
                "kafka": {
                    "own": {"brokers": 3},
                    "managed": MANAGED,
                }
            },
            "both `own` and `managed` are set",
        ),
        (
            {
                "kafka": {"managed": {"bootstrap": "kafka.example.com:9093", "username": "us"}},
                "kafka_password": None,
            },
            "`bellwether:kafka_password`",
        ),
        (
            {"kafka": {"own": {"broker": 3}}},
            "`bellwether:kafka.own.broker` is unknown; did you mean `brokers`?",
        ),
        ({"valkey": {"own": {"storage": "lots"}}}, "bellwether:valkey.own.storage"),
        ({"namespace": "bellwether-operators"}, "are the same"),
        ({"environment": "production"}, "needs a licence from Seldon"),
        ({"artifacts": {"bucket": "Not A Bucket"}}, "bellwether:artifacts.bucket"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_path_and_a_remedy(changes, said):
    assert said in refusal(**changes)


def test_an_image_without_a_digest_is_refused():
    digests = images()["digests"]
    said = refusal(images=images(digests={**digests, "router": "latest"}))
    assert "bellwether:images.digests.router" in said
    assert "bellwether images build" in said
    del digests["router"]
    assert "missing: router" in refusal(images=images(digests=digests))


def test_the_example_registry_is_refused_by_what_touches_a_cluster():
    with pytest.raises(settings.SettingsError, match=r"images\.registry"):
        cluster_settings.refuse_examples(parse())
    cluster_settings.refuse_examples(parse(images=images(registry="ghcr.example.org/us")))


def test_a_cluster_stack_is_no_local_one():
    with pytest.raises(settings.SettingsError, match="stack of a cluster"):
        settings.read(pathlib.Path(paths.ROOT / "Pulumi.dev.yaml"))
