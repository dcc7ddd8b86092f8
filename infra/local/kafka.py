"""Kafka's configuration for one machine: a KRaft broker that is its own controller."""

import pathlib
import shlex

from infra import settings
from infra.catalogue import topics

CLUSTER_ID = "YmVsbHdldGhlci1sb2NhbA"
"""A KRaft cluster id is 16 bytes in URL-safe base64; one for all local environments is enough."""

LOG4J = """\
log4j.rootLogger=WARN, stdout
log4j.logger.kafka.server.KafkaRaftServer=INFO
log4j.logger.kafka.server.BrokerServer=INFO
log4j.appender.stdout=org.apache.log4j.ConsoleAppender
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
log4j.appender.stdout.layout.ConversionPattern=%d %p %m (%c)%n
"""


def properties(ports: settings.Ports, data: pathlib.Path, record_days: int = 7) -> str:
    """Render `server.properties`; topics that say nothing else keep records for `record_days`."""
    entries = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{ports.kafka_controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{ports.kafka},CONTROLLER://127.0.0.1:{ports.kafka_controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{ports.kafka}",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "log.retention.ms": str(topics.milliseconds(record_days)),
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "num.network.threads": "2",
        "num.io.threads": "4",
        # One machine has nobody to wait for: a broker that was killed comes back at once.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "controller.quorum.election.timeout.ms": "300",
        "controller.quorum.fetch.timeout.ms": "1000",
    }
    return "".join(f"{key}={value}\n" for key, value in entries.items())


def start_script(
    java: pathlib.Path, jars: pathlib.Path, folder: pathlib.Path, heap_mb: int, metrics_port: int
) -> str:
    """Render the script that formats the storage once and becomes the broker."""
    agent = next(iter(sorted(jars.glob("jmx_prometheus_javaagent-*.jar"))))
    common = [
        str(java),
        "-cp",
        f"{jars}/*",
        f"-Dlog4j.configuration=file:{folder}/log4j.properties",
        f"-Dkafka.logs.dir={folder}/logs",
        "-XX:+UseSerialGC",
        "-Xshare:auto",
    ]
    storage = [*common, "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format"]
    storage += ["--cluster-id", CLUSTER_ID, "--config", f"{folder}/server.properties"]
    broker = [*common, f"-Xmx{heap_mb}m", f"-Xms{heap_mb // 2}m"]
    broker += [f"-javaagent:{agent}=127.0.0.1:{metrics_port}:{folder}/metrics.yml"]
    broker += ["kafka.Kafka", f"{folder}/server.properties"]
    return "\n".join(
        [
            "#!/bin/sh",
            "set -e",
            f"[ -f {shlex.quote(f'{folder}/data/bootstrap.checkpoint')} ] || {shlex.join(storage)}",
            f"exec {shlex.join(broker)}",
            "",
        ]
    )
