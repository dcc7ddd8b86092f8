"""What the program registers, recorded by a double of Pulumi's engine."""

import asyncio
import json
import pathlib

import pulumi
import pytest

from infra import settings
from infra.catalogue import bandits, experiments, models, pipelines, topics
from infra.local import manifests, target, toolchain
from runtimes.bandit.controller import settings as controller_settings
from runtimes.guard import watcher_settings


class Engine(pulumi.runtime.Mocks):
    """Records what is registered; nothing is made."""

    def __init__(self):
        self.registered = []

    def new_resource(self, args):
        self.registered.append(args)
        return f"{args.name}-id", args.inputs

    def call(self, args):
        raise AssertionError(f"the program calls no provider function, but it called {args.token}")

    def of(self, kind):
        return {
            r.name: r.inputs for r in self.registered if r.typ == f"bellwether-local:index:{kind}"
        }


def declared(tmp_path, given=(), **values):
    jars = tmp_path / "jars"
    jars.mkdir(exist_ok=True)
    (jars / "jmx_prometheus_javaagent-1.jar").touch()
    program = pathlib.Path("/bin/true")
    local = target.Local(
        settings.Settings.parse({f"bellwether:{k}": v for k, v in values.items()}, "test"),
        tmp_path / "home",
        toolchain.Toolchain(program, program, program, program, jars, program, program, program),
        {
            model.artifact: pathlib.Path(f"/cache/{model.artifact}/sha256-0")
            for model in (*models.MODELS, *models.STEPS)
        },
        given,
    )
    engine = Engine()
    # The SDK takes the thread's event loop; another test's asyncio.run() has left none.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(engine)

    @pulumi.runtime.test
    def run():
        target.declare(local)

    try:
        run()
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return engine


@pytest.fixture
def engine(tmp_path):
    return declared(tmp_path)


def test_every_part_is_a_process_with_a_probe(engine):
    processes = engine.of("Process")
    assert set(processes) == {
        "kafka", "valkey", "valkey-exporter", "feature-stream", "model-server", "mesh", "gateway",
        "prometheus", "drift", "monitor", "bandit", "console",
    }  # fmt: skip
    assert all(p["readiness"] for p in processes.values())


def test_every_port_of_the_settings_belongs_to_one_process(engine):
    owned = [key for p in engine.of("Process").values() for key in p["ports"]]
    assert sorted(owned) == sorted(
        f"bellwether:ports.{name}" for name in settings.Ports.model_fields
    )


def test_the_model_server_publishes_to_this_environments_kafka(tmp_path):
    engine = declared(tmp_path, namespace="mine", ports={"kafka": 7778})
    given = json.loads(engine.of("File")["model-server/model-server.json"]["content"])
    assert (given["kafka"], given["namespace"]) == ("127.0.0.1:7778", "mine")


def test_a_moved_port_moves_everywhere(tmp_path):
    engine = declared(tmp_path, ports={"valkey": 7777})
    assert "port 7777" in engine.of("File")["valkey/valkey.conf"]["content"]
    assert "redis://127.0.0.1:7777" in " ".join(engine.of("Process")["valkey-exporter"]["command"])
    assert engine.of("Process")["valkey"]["readiness"]["port"] == 7777


def test_nothing_listens_beyond_this_machine(engine):
    for file in engine.of("File").values():
        assert "0.0.0.0" not in file["content"]  # noqa: S104  looked for, not bound
    assert "bind 127.0.0.1" in engine.of("File")["valkey/valkey.conf"]["content"]
    assert (
        "listeners=PLAINTEXT://127.0.0.1:9092"
        in engine.of("File")["kafka/server.properties"]["content"]
    )
    assert "--web.listen-address=127.0.0.1:9090" in engine.of("Process")["prometheus"]["command"]


def test_the_catalogue_is_declared_whole(engine):
    assert set(engine.of("Topic")) == {t.name for t in topics.TOPICS}
    objects = {name: o["manifest"] for name, o in engine.of("SeldonObject").items()}
    assert {n for n, m in objects.items() if m["kind"] == "Model"} == {
        m.name for m in (*models.MODELS, *models.STEPS)
    }
    assert {n for n, m in objects.items() if m["kind"] == "Pipeline"} == {
        p.metadata.name for p in pipelines.PIPELINES
    }
    assert {n for n, m in objects.items() if m["kind"] == "Experiment"} == {
        e.metadata.name for e in experiments.EXPERIMENTS
    }
    assert {n for n, m in objects.items() if m["kind"] == "BanditPolicy"} == {
        p.metadata.name for p in bandits.POLICIES
    }
    assert {m["metadata"]["namespace"] for m in objects.values()} == {"bellwether"}


def test_weights_that_a_policy_moves_are_left_to_it(engine):
    objects = engine.of("SeldonObject")
    kept = {name for name, each in objects.items() if each.get("keep_weights")}
    assert kept == {policy.spec.experiment for policy in bandits.POLICIES}
    order = list(objects)
    for policy in bandits.POLICIES:
        assert order.index(policy.spec.experiment) < order.index(policy.metadata.name)


def test_the_bandits_controller_is_given_what_its_settings_take(tmp_path):
    engine = declared(tmp_path, ports={"valkey": 7777, "bandit": 7778, "gateway_admin": 7779})
    content = engine.of("File")["bandit/bandit.json"]["content"]
    given = controller_settings.Settings.model_validate_json(content)
    assert (given.valkey, given.port) == ("127.0.0.1:7777", 7778)
    assert given.envoy == "http://127.0.0.1:7779"
    assert engine.of("Process")["bandit"]["readiness"] == {"url": "http://127.0.0.1:7778/ready"}
    stamps = {name: each["configuration"] for name, each in engine.of("Topic").items()}
    for topic in ("decisions", "rewards"):
        assert stamps[topic]["message.timestamp.type"] == "LogAppendTime"


def test_a_model_points_to_its_content_addressed_artifact(engine):
    baseline = engine.of("SeldonObject")["baseline-predictor"]["manifest"]
    assert baseline["spec"]["storageUri"] == "file:///cache/baseline/sha256-0"


def test_a_step_is_told_its_settings_and_where_to_connect(tmp_path):
    objects = declared(tmp_path, ports={"valkey": 7777}).of("SeldonObject")
    given = {p["name"]: p["value"] for p in objects["guard"]["manifest"]["spec"]["parameters"]}
    assert given["quality_threshold"] == "0.8"
    assert given["valkey"] == "127.0.0.1:7777"


def test_the_drift_watcher_is_given_what_its_settings_take(tmp_path):
    engine = declared(tmp_path, ports={"valkey": 7777, "drift": 7778})
    content = engine.of("File")["drift/drift.json"]["content"]
    given = watcher_settings.Settings.model_validate_json(content)
    assert given.artifact == pathlib.Path("/cache/guard/sha256-0")
    assert (given.valkey, given.port, given.threshold) == ("127.0.0.1:7777", 7778, 0.5)
    assert engine.of("Process")["drift"]["readiness"] == {"url": "http://127.0.0.1:7778/ready"}


def test_a_changed_configuration_file_restarts_its_process(tmp_path):
    before = declared(tmp_path).of("Process")
    after = declared(tmp_path, kafka_heap_mb=512).of("Process")
    assert before["kafka"]["triggers"] != after["kafka"]["triggers"]
    assert before["valkey"]["triggers"] == after["valkey"]["triggers"]


GIVEN = """
apiVersion: mlops.seldon.io/v1alpha1
kind: Experiment
metadata: {name: iris, namespace: elsewhere}
spec: {candidates: [{name: iris, weight: 1}, {name: baseline-predictor, weight: 1}]}
---
apiVersion: mlops.seldon.io/v1alpha1
kind: Pipeline
metadata: {name: chain}
spec: {steps: [{name: iris, inputs: [chain]}], output: {steps: [iris]}}
---
apiVersion: mlops.seldon.io/v1alpha1
kind: Model
metadata: {name: iris}
spec: {storageUri: "gs://seldon-models/iris", requirements: [sklearn]}
"""


def test_manifests_are_declared_unchanged_after_what_they_need(tmp_path):
    (tmp_path / "given.yaml").write_text(GIVEN)
    engine = declared(tmp_path, manifests.read([tmp_path / "given.yaml"]))
    objects = {name: o["manifest"] for name, o in engine.of("SeldonObject").items()}
    assert objects["model/iris"]["spec"] == {
        "storageUri": "gs://seldon-models/iris",
        "requirements": ["sklearn"],
    }
    assert objects["pipeline/chain"]["spec"] == {
        "steps": [{"name": "iris", "inputs": ["chain"]}],
        "output": {"steps": ["iris"]},
    }
    assert objects["experiment/iris"]["metadata"] == {"name": "iris", "namespace": "bellwether"}
    order = list(engine.of("SeldonObject"))
    assert order.index("model/iris") < order.index("pipeline/chain")
    assert order.index("pipeline/chain") < order.index("experiment/iris")
    assert order.index("baseline-predictor") < order.index("experiment/iris")


def test_the_feature_stream_and_the_enrichment_share_store_registry_and_artifact(engine):
    stream = json.loads(engine.of("File")["feature-stream/stream.json"]["content"])
    enrichment = engine.of("SeldonObject")["enrichment"]["manifest"]["spec"]
    given = {each["name"]: each["value"] for each in enrichment["parameters"]}
    assert {name: stream[name] for name in given} == given
    assert enrichment["storageUri"] == f"file://{stream['artifact']}"
    probe = engine.of("Process")["feature-stream"]["readiness"]
    assert probe == {"url": f"http://127.0.0.1:{stream['port']}/ready"}
