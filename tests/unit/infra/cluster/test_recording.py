"""What a stack registers: the same twice, whole, and in an order that can work."""

import pathlib

import pytest

from bellwether import render
from infra import paths, settings
from infra.cluster import recording, rendering
from infra.cluster import settings as cluster_settings

STACKS = ("dev", "staging", "production")


@pytest.fixture(scope="module")
def recorded():
    return {stack: recording.record(stack) for stack in STACKS}


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_registers_the_same_twice(recorded, stack):
    assert rendering.files(recording.record(stack)) == rendering.files(recorded[stack])


def test_a_bandits_experiment_leaves_its_candidates_to_the_controller(recorded):
    for found in recorded.values():
        experiment = next(each for each in found if each.name.startswith("Experiment/"))
        assert experiment.ignore_changes == ("spec.candidates",)


def test_a_pipeline_is_made_anew_and_not_updated_in_place(recorded):
    for each in recorded["staging"]:
        if each.name.startswith("Pipeline/"):
            assert each.replace_on_changes == ("spec",)


@pytest.mark.parametrize(
    ("stack", "kept"), [("dev", False), ("staging", True), ("production", True)]
)
def test_stateful_parts_are_kept_outside_dev(recorded, stack, kept):
    stateful = (
        "StatefulSet/",
        "Kafka/",
        "KafkaNodePool/",
        "KafkaTopic/",
        "Namespace/",
        "CustomResource",
    )
    for each in recorded[stack]:
        if each.name.startswith(stateful):
            assert (each.protect, each.retain_on_delete) == (kept, kept), each.name


def test_models_wait_for_their_servers_and_what_refers_to_models_waits_for_them(recorded):
    by_name = {each.name: each for each in recorded["dev"]}
    model = by_name["Model/baseline-predictor"]
    assert "Server/mlserver-predictor" in model.depends_on
    assert "Model/baseline-predictor" in by_name["Experiment/financial-mab-experiment"].depends_on
    assert "Model/guard" in by_name["Pipeline/financial-prediction-pipeline"].depends_on
    assert "Deployment/bandit" in by_name["BanditPolicy/financial-mab"].depends_on
    assert "seldon-core-v2-crds" in by_name["SeldonRuntime/seldon"].depends_on


def test_every_model_finds_a_server_with_its_capability(recorded):
    objects = [each.inputs for each in recorded["dev"] if each.is_object]
    offered = {c for o in objects if o["kind"] == "Server" for c in o["spec"]["capabilities"]}
    for each in objects:
        if each["kind"] == "Model":
            assert set(each["spec"]["requirements"]) <= offered, each["metadata"]["name"]


def test_secrets_are_marked_as_such_and_nowhere_in_plain_text(recorded):
    canary = "canary-9e107d9d"
    given = settings.configuration(paths.ROOT / "Pulumi.staging.yaml")
    keys = [f"bellwether:{name}" for name in cluster_settings.SECRETS]
    given |= dict.fromkeys(keys, canary)
    stack = cluster_settings.parse(given, "test", keys)
    found = recording.record_settings("staging", stack)
    assert canary not in repr(found)
    assert canary not in "".join(rendering.files(found).values())
    for each in found:
        if each.is_object and each.inputs["kind"] == "Secret":
            assert len(each.secret_paths) == len(each.inputs["stringData"])


def test_a_managed_kafka_brings_credentials_and_no_broker():
    given = settings.configuration(paths.ROOT / "Pulumi.staging.yaml")
    given["bellwether:kafka"] = {
        "managed": {"bootstrap": "kafka.example.com:9093", "username": "us"}
    }
    given |= {f"bellwether:{name}": {"secure": "v1:…"} for name in cluster_settings.SECRETS}
    found = recording.record_settings("staging", cluster_settings.parse(given, "test"))
    kinds = {each.inputs["kind"] for each in found if each.is_object}
    assert not kinds & {"Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser"}
    controller = next(each for each in found if each.name == "ConfigMap/bandit")
    assert "kafka.example.com:9093" in controller.inputs["data"]["bandit.json"]


def test_what_is_rendered_again_takes_away_what_is_gone(tmp_path):
    first = render.stack("dev", tmp_path)
    stale = tmp_path / "kafka" / "kafkatopic-forgotten.yaml"
    stale.write_text("old")
    assert render.stack("dev", tmp_path).files == first.files
    assert not stale.exists()


def test_a_capability_is_one_file_for_kubectl(tmp_path):
    made = render.capability("dev", "contextual-router", tmp_path)
    text = pathlib.Path(made.out).read_text()
    assert "name: contextual-financial-router" in text
    assert "pulumi.com/" not in text
    with pytest.raises(settings.SettingsError, match="did you mean `contextual-router`"):
        render.capability("dev", "contextual-routr", tmp_path)


def test_a_local_stack_has_nothing_to_render():
    with pytest.raises(settings.SettingsError, match="local stack"):
        recording.record("local")
