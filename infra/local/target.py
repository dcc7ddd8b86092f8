"""The catalogue on this machine: what the program registers for the local target."""

import collections.abc
import dataclasses
import hashlib
import json
import pathlib
import sys

import pulumi

from infra import paths, seldon, settings
from infra.catalogue import bandits, experiments, models, pipelines, servers, topics
from infra.local import kafka, manifests, prometheus, resources, toolchain
from infra.local.mesh import envoy, validation
from infra.local.mesh import pipelines as pipeline_rules
from infra.local.mesh import settings as mesh_settings
from runtimes.bandit import declaration

_OWNED = {each.spec.experiment for each in bandits.POLICIES}
"""Experiments whose weights a bandit policy moves."""

_BANDIT_TOPICS = ("decisions", "rewards", "allocations")
"""What the bandit's controller reads and writes."""

_DRIFT_TOPICS = ("feature-monitoring", "drift")
"""What the drift watcher reads, and what it writes."""

_MONITOR_TOPICS = (
    "decisions",
    "rewards",
    "feature-monitoring",
    "market-data",
    "monitoring",
    "dead-letters",
)
"""What the monitor reads and writes, beside the pipeline's own topics."""

_POLICY_SCHEMA = tuple(
    f"runtimes/bandit/{part}.py" for part in ("declaration", "notation", "structural")
)
"""What the mesh checks bandit policies with."""

_MODEL_SERVER_IMPORTS = ("artifacts", "dataflow", "envoy", "gateway_requests", "settings")
"""Modules of the mesh that the model server runs as well."""


@dataclasses.dataclass(frozen=True)
class Local:
    """What the local target needs beside the catalogue."""

    settings: settings.Settings
    home: pathlib.Path
    toolchain: toolchain.Toolchain
    artifacts: collections.abc.Mapping[str, pathlib.Path]
    """Folder under `models/` -> its trained artifact."""
    given: tuple[manifests.Given, ...] = ()
    """Objects of the setting `manifests`, each after its sources."""

    @property
    def mesh_endpoint(self) -> str:
        """Where Seldon objects are applied."""
        return f"http://127.0.0.1:{self.settings.ports.mesh}"

    def ports(self, *names: str) -> dict[str, int]:
        """Give ports by the key of the setting that moves them."""
        return {
            f"{settings.PROJECT}:ports.{name}": getattr(self.settings.ports, name) for name in names
        }


def declare(local: Local) -> None:
    """Register everything."""
    supervisor = resources.Supervisor("supervisor", str(local.home))
    after = pulumi.ResourceOptions(depends_on=[supervisor])
    broker = _kafka(local, after)
    valkey = _valkey(local, after)
    gateway = _serving(local, after)
    _prometheus(local, after)
    declared_topics = _topics(local, broker)
    stream = _feature_stream(local, [valkey, *declared_topics.values()])
    _drift(local, [declared_topics[topic] for topic in _DRIFT_TOPICS])
    _monitor(local, [declared_topics[topic] for topic in _MONITOR_TOPICS])
    bandit = _bandit(
        local, [gateway, valkey, *(declared_topics[topic] for topic in _BANDIT_TOPICS)]
    )
    _objects(local, gateway, stream, bandit)
    _console(local, [gateway, *(declared_topics[topic] for topic in _BANDIT_TOPICS)])
    for name, address in addresses(local.settings.ports).items():
        pulumi.export(name, address)


def addresses(ports: settings.Ports) -> dict[str, str]:
    """What a person or a program connects to."""
    return {
        "gateway": f"http://127.0.0.1:{ports.gateway}",
        "mesh": f"http://127.0.0.1:{ports.mesh}",
        "prometheus": f"http://127.0.0.1:{ports.prometheus}",
        "kafka": f"127.0.0.1:{ports.kafka}",
        "valkey": f"127.0.0.1:{ports.valkey}",
        "console": f"http://127.0.0.1:{ports.console}",
    }


def _kafka(local: Local, after: pulumi.ResourceOptions) -> resources.Process:
    ports, folder = local.settings.ports, local.home / "kafka"
    script = kafka.start_script(
        local.toolchain.java,
        local.toolchain.kafka_jars,
        folder,
        local.settings.kafka_heap_mb,
        ports.kafka_metrics,
    )
    contents = {
        "server.properties": kafka.properties(ports, folder / "data", local.settings.record_days),
        "log4j.properties": kafka.LOG4J,
        "metrics.yml": topics.JMX_EXPORTER,
        "start.sh": script,
    }
    return _process(
        local,
        "kafka",
        command=["/bin/sh", str(folder / "start.sh")],
        files={folder / name: content for name, content in contents.items()},
        ports=local.ports("kafka", "kafka_controller", "kafka_metrics"),
        readiness={"port": ports.kafka},
        stop_seconds=30,
        opts=after,
    )


def _valkey(local: Local, after: pulumi.ResourceOptions) -> resources.Process:
    ports, folder = local.settings.ports, local.home / "valkey"
    configuration = "\n".join(
        [
            "bind 127.0.0.1",
            f"port {ports.valkey}",
            f"dir {json.dumps(str(folder))}",
            # A rewritten title overwrites the variables by which the process is known.
            "set-proc-title no",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "",
        ]
    )
    process = _process(
        local,
        "valkey",
        command=[str(local.toolchain.valkey), str(folder / "valkey.conf")],
        files={folder / "valkey.conf": configuration},
        ports=local.ports("valkey"),
        readiness={"port": ports.valkey, "send": "PING\r\n", "expect": "+PONG"},
        opts=after,
    )
    _process(
        local,
        "valkey-exporter",
        command=[
            str(local.toolchain.valkey_exporter),
            f"-web.listen-address=127.0.0.1:{ports.valkey_metrics}",
            f"-redis.addr=redis://127.0.0.1:{ports.valkey}",
        ],
        ports=local.ports("valkey_metrics"),
        readiness={"url": f"http://127.0.0.1:{ports.valkey_metrics}/health"},
        opts=pulumi.ResourceOptions(depends_on=[process]),
    )
    return process


def _feature_stream(
    local: Local, after: collections.abc.Sequence[pulumi.Resource]
) -> resources.Process:
    """What fills the feature store's online side; it applies the feature repository as well."""
    port, path = local.settings.ports.feature_stream, local.home / "features" / "stream.json"
    configuration = {
        **{str(name): address for name, address in _connections(local).items()},
        "artifact": str(local.artifacts[models.ENRICHMENT.artifact]),
        "port": str(port),
    }
    return _process(
        local,
        "feature-stream",
        command=[
            str(local.toolchain.serving_python),
            "-m",
            "runtimes.features.stream",
            str(path),
        ],
        files={path: json.dumps(configuration, indent=2)},
        environment={"PYTHONPATH": str(paths.ROOT)},
        ports=local.ports("feature_stream"),
        readiness={"url": f"http://127.0.0.1:{port}/ready"},
        triggers={"code": _code("runtimes/features", "runtimes/contract")},
        opts=pulumi.ResourceOptions(depends_on=list(after)),
    )


def _serving(local: Local, after: pulumi.ResourceOptions) -> resources.Process:
    """MLServer, the mesh that fills it, and Envoy in front."""
    ports = local.settings.ports
    given = mesh_settings.Ports(
        gateway=ports.gateway,
        envoy_admin=ports.gateway_admin,
        mlserver_http=ports.model_server,
        mlserver_grpc=ports.model_server_grpc,
        mlserver_metrics=ports.model_server_metrics,
        mesh=ports.mesh,
    )
    mesh = mesh_settings.Settings(
        state_dir=local.home / "mesh",
        ports=given,
        namespace=local.settings.namespace,
        max_request_bytes=local.settings.max_request_bytes,
    )
    server = mesh_settings.ModelServerSettings(
        repository=mesh.repository,
        ports=given,
        max_request_bytes=local.settings.max_request_bytes,
        namespace=local.settings.namespace,
        kafka=f"127.0.0.1:{ports.kafka}",
    )
    python = str(local.toolchain.serving_python)
    environment = {"PYTHONPATH": str(paths.ROOT)}
    model_server = _process(
        local,
        "model-server",
        command=[
            python,
            "-m",
            "infra.local.model_server",
            str(local.home / "mesh/model-server.json"),
        ],
        files={local.home / "mesh/model-server.json": server.model_dump_json(indent=2)},
        environment=environment,
        ports=local.ports("model_server", "model_server_grpc", "model_server_metrics"),
        readiness={"url": f"http://127.0.0.1:{ports.model_server}/v2/health/ready"},
        triggers={
            "code": _code(
                "runtimes",
                "infra/local/dataflow",
                "infra/local/model_server.py",
                *(f"infra/local/mesh/{part}.py" for part in _MODEL_SERVER_IMPORTS),
            )
        },
        opts=after,
    )
    mesh_process = _process(
        local,
        "mesh",
        command=[python, "-m", "infra.local.mesh", str(local.home / "mesh/mesh.json")],
        files={local.home / "mesh/mesh.json": mesh.model_dump_json(indent=2)},
        environment=environment,
        ports=local.ports("mesh"),
        readiness={"url": f"http://127.0.0.1:{ports.mesh}/healthz"},
        triggers={"code": _code("infra/local/mesh", "infra/seldon.py", *_POLICY_SCHEMA)},
        opts=after,
    )
    return _process(
        local,
        "gateway",
        command=envoy.command(local.toolchain.envoy, mesh),
        files={mesh.bootstrap: json.dumps(envoy.bootstrap(mesh), indent=2)},
        ports=local.ports("gateway", "gateway_admin"),
        readiness={"url": f"http://127.0.0.1:{ports.gateway_admin}/ready"},
        opts=pulumi.ResourceOptions(depends_on=[model_server, mesh_process]),
    )


def _prometheus(local: Local, after: pulumi.ResourceOptions) -> None:
    port, folder = local.settings.ports.prometheus, local.home / "prometheus"
    contents = {
        "prometheus.yml": prometheus.configuration(local.settings.ports),
        prometheus.RULES: prometheus.rules(local.settings.alert_pace),
    }
    _process(
        local,
        "prometheus",
        command=[
            str(local.toolchain.prometheus),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            "--storage.tsdb.retention.time=7d",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ],
        files={folder / name: content for name, content in contents.items()},
        ports=local.ports("prometheus"),
        readiness={"url": f"http://127.0.0.1:{port}/-/ready"},
        opts=after,
    )


def _drift(local: Local, after: list[resources.Topic]) -> None:
    """The drift watcher; it waits for Valkey by itself."""
    ports = local.settings.ports
    configuration = local.home / "drift" / "drift.json"
    parameters = dict(models.GUARD.parameters)
    given = {
        "kafka": f"127.0.0.1:{ports.kafka}",
        "valkey": f"127.0.0.1:{ports.valkey}",
        "artifact": str(local.artifacts[models.GUARD.artifact]),
        "port": ports.drift,
        "threshold": float(parameters["drift_threshold"]),
    }
    _process(
        local,
        "drift",
        command=[
            str(local.toolchain.serving_python),
            "-m",
            "runtimes.guard.drift",
            str(configuration),
        ],
        files={configuration: json.dumps(given, indent=2)},
        environment={"PYTHONPATH": str(paths.ROOT)},
        ports=local.ports("drift"),
        readiness={"url": f"http://127.0.0.1:{ports.drift}/ready"},
        triggers={"code": _code("runtimes/contract", "runtimes/guard")},
        opts=pulumi.ResourceOptions(depends_on=list(after)),
    )


def _monitor(local: Local, after: list[resources.Topic]) -> None:
    """The monitor, in an environment of its own."""
    ports, folder = local.settings.ports, local.home / "monitor"
    configuration = folder / "monitor.json"
    given = {
        "kafka": f"127.0.0.1:{ports.kafka}",
        "folder": str(folder / "records"),
        "bars": str(local.artifacts[models.ENRICHMENT.artifact] / "bars.npz"),
        "port": ports.monitor,
        "namespace": local.settings.namespace,
        "pipeline": pipelines.PREDICTION.metadata.name,
        "retention_days": local.settings.monitor_retention_days,
    }
    _process(
        local,
        "monitor",
        command=[
            str(local.toolchain.monitor_python),
            "-m",
            "runtimes.monitor",
            str(configuration),
        ],
        files={configuration: json.dumps(given, indent=2)},
        environment={"PYTHONPATH": str(paths.ROOT)},
        ports=local.ports("monitor"),
        readiness={"url": f"http://127.0.0.1:{ports.monitor}/ready"},
        triggers={"code": _code("runtimes/contract", "runtimes/monitor")},
        opts=pulumi.ResourceOptions(depends_on=list(after)),
    )


def _bandit(local: Local, after: collections.abc.Sequence[pulumi.Resource]) -> resources.Process:
    """The bandit's controller, in the Python that runs this program."""
    ports, path = local.settings.ports, local.home / "bandit" / "bandit.json"
    given = {
        "kafka": f"127.0.0.1:{ports.kafka}",
        "valkey": f"127.0.0.1:{ports.valkey}",
        "api": local.mesh_endpoint,
        "namespace": local.settings.namespace,
        "service_account": str(local.home / "bandit" / "service-account"),
        "port": ports.bandit,
        "envoy": f"http://127.0.0.1:{ports.gateway_admin}",
        "gateway": f"http://127.0.0.1:{ports.gateway}",
        "holder": "local",
    }
    return _process(
        local,
        "bandit",
        command=[sys.executable, "-m", "runtimes.bandit.controller", str(path)],
        files={path: json.dumps(given, indent=2)},
        environment={"PYTHONPATH": str(paths.ROOT)},
        ports=local.ports("bandit"),
        readiness={"url": f"http://127.0.0.1:{ports.bandit}/ready"},
        triggers={"code": _code("runtimes/bandit", "runtimes/contract")},
        opts=pulumi.ResourceOptions(depends_on=list(after)),
    )


def _console(local: Local, after: collections.abc.Sequence[pulumi.Resource]) -> resources.Process:
    """What people look at, in the Python that runs this program; it shows what is away."""
    ports, path = local.settings.ports, local.home / "console" / "console.json"
    given = {
        "gateway": f"http://127.0.0.1:{ports.gateway}",
        "api": local.mesh_endpoint,
        "kafka": f"127.0.0.1:{ports.kafka}",
        "valkey": f"127.0.0.1:{ports.valkey}",
        "prometheus": f"http://127.0.0.1:{ports.prometheus}",
        "monitor": f"http://127.0.0.1:{ports.monitor}",
        "namespace": local.settings.namespace,
        "service_account": str(local.home / "console" / "service-account"),
        "pipeline": pipelines.PREDICTION.metadata.name,
        "explainer": models.EXPLANATIONS.name,
        "port": ports.console,
    }
    return _process(
        local,
        "console",
        command=[sys.executable, "-m", "runtimes.console", str(path)],
        files={path: json.dumps(given, indent=2)},
        environment={"PYTHONPATH": str(paths.ROOT)},
        ports=local.ports("console"),
        readiness={"url": f"http://127.0.0.1:{ports.console}/ready"},
        triggers={"code": _code("runtimes/console", "runtimes/bandit", "runtimes/contract")},
        opts=pulumi.ResourceOptions(depends_on=list(after)),
    )


def _topics(local: Local, broker: resources.Process) -> dict[str, resources.Topic]:
    return {
        topic.name: resources.Topic(
            topic.name,
            bootstrap=f"127.0.0.1:{local.settings.ports.kafka}",
            partitions=topic.partitions,
            configuration={
                "retention.ms": str(topic.kept_ms(local.settings.record_days)),
                "message.timestamp.type": topic.timestamps,
            },
            opts=pulumi.ResourceOptions(depends_on=[broker]),
        )
        for topic in topics.TOPICS
    }


def _objects(
    local: Local,
    gateway: resources.Process,
    stream: resources.Process,
    bandit: resources.Process,
) -> None:
    """Servers first, then models, pipelines over them, experiments over both, their policies."""
    catalogue: list[seldon.Object] = [
        *servers.SERVERS,
        *(_model(local, model) for model in (*models.MODELS, *models.STEPS)),
        *pipelines.PIPELINES,
        *experiments.EXPERIMENTS,
    ]
    # The stream applies the registry that a model with this connection reads.
    reading = {each.name for each in models.STEPS if "registry" in each.connections}
    declared: dict[tuple[str, str], resources.SeldonObject] = {}
    wanted = [(each, each.metadata.name) for each in catalogue]
    # Kinds share their names' space in Pulumi: the kind sets an object from elsewhere apart.
    wanted += [(each.object, f"{each.kind.lower()}/{each.name}") for each in local.given]
    for kind in (seldon.Server, seldon.Model, seldon.Pipeline, seldon.Experiment):
        for thing, title in wanted:
            if isinstance(thing, kind):
                after = [declared[each] for each in _sources(thing) if each in declared]
                if isinstance(thing, seldon.Model):
                    after = [each for (of, _), each in declared.items() if of == "Server"]
                first = [stream] if thing.metadata.name in reading else []
                declared[(thing.kind, thing.metadata.name)] = _object(
                    local, thing, title, [gateway, *first, *after]
                )
    for policy in bandits.POLICIES:
        manifest = declaration.manifest(policy)
        manifest["metadata"]["namespace"] = local.settings.namespace
        experiment = declared[("Experiment", policy.spec.experiment)]
        resources.SeldonObject(
            policy.metadata.name,
            endpoint=local.mesh_endpoint,
            manifest=manifest,
            opts=pulumi.ResourceOptions(depends_on=[bandit, experiment]),
        )


def _sources(thing: seldon.Object) -> list[tuple[str, str]]:
    """Name what has to be there before an object can be ready: kind and name."""
    if isinstance(thing, seldon.Pipeline):
        return [
            *(("Model", step.name) for step in thing.spec.steps),
            *(("Pipeline", feeder) for feeder in pipeline_rules.feeders(thing)),
        ]
    if isinstance(thing, seldon.Experiment):
        kind = "Pipeline" if validation.splits_pipelines(thing) else "Model"
        mirrored = [thing.spec.mirror.name] if thing.spec.mirror is not None else []
        return [(kind, each) for each in (*(c.name for c in thing.spec.candidates), *mirrored)]
    return []


def _connections(local: Local) -> dict[models.Connection, str]:
    return {
        "kafka": f"127.0.0.1:{local.settings.ports.kafka}",
        "valkey": f"127.0.0.1:{local.settings.ports.valkey}",
        "registry": str(local.home / "features" / "registry.db"),
    }


def _model(local: Local, model: models.ServedModel) -> seldon.Model:
    connections = _connections(local)
    given = [*model.parameters, *((name, connections[name]) for name in model.connections)]
    parameters = tuple(seldon.Parameter(name=name, value=value) for name, value in given)
    return seldon.Model(
        metadata=seldon.ObjectMeta(name=model.name),
        spec=seldon.ModelSpec(
            storage_uri=f"file://{local.artifacts[model.artifact]}",
            requirements=model.requirements,
            memory=model.memory,
            parameters=parameters or None,
        ),
    )


def _object(
    local: Local,
    thing: seldon.Object,
    title: str,
    after: collections.abc.Sequence[pulumi.Resource],
) -> resources.SeldonObject:
    manifest = seldon.manifest(thing)
    manifest["metadata"]["namespace"] = local.settings.namespace
    return resources.SeldonObject(
        title,
        endpoint=local.mesh_endpoint,
        manifest=manifest,
        keep_weights=isinstance(thing, seldon.Experiment) and thing.metadata.name in _OWNED,
        opts=pulumi.ResourceOptions(depends_on=list(after)),
    )


def _process(  # noqa: PLR0913  a process has this many sides, all named at the call site
    local: Local,
    name: str,
    *,
    command: list[str],
    ports: dict[str, int],
    readiness: dict[str, str | int],
    files: collections.abc.Mapping[pathlib.Path, str] | None = None,
    environment: dict[str, str] | None = None,
    triggers: dict[str, str] | None = None,
    stop_seconds: int = 10,
    opts: pulumi.ResourceOptions,
) -> resources.Process:
    """Declare a process and the files that it reads; a changed file restarts it."""
    declared = [
        resources.File(f"{name}/{path.name}", str(path), content, opts=opts)
        for path, content in (files or {}).items()
    ]
    digests = {
        path.name: hashlib.sha256(content.encode()).hexdigest()
        for path, content in (files or {}).items()
    }
    return resources.Process(
        name,
        home=str(local.home),
        command=command,
        environment=environment,
        ports=ports,
        readiness=readiness,
        triggers={**(triggers or {}), **digests},
        stop_seconds=stop_seconds,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=declared)),
    )


def _code(*places: str) -> str:
    """Give a digest of source files, so that changed code restarts the process that runs it."""
    digest = hashlib.sha256()
    for place in places:
        path = paths.ROOT / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(str(file.relative_to(paths.ROOT)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
