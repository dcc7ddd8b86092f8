"""How workloads reach Kafka and Valkey: addresses, credentials as files, network ways.

`runtimes/contract/credentials.py` reads the same variables on the other side.
"""

import dataclasses

from infra.cluster import network, settings, workload

KAFKA_CLUSTER = "bellwether"
"""The name of the Kafka cluster that Strimzi runs."""
KAFKA_PORT = 9093
KAFKA_PODS = (("strimzi.io/cluster", KAFKA_CLUSTER), ("strimzi.io/kind", "Kafka"))
KAFKA_FOLDER = "/var/run/secrets/bellwether/kafka"
KAFKA_AUTHORITY = f"{KAFKA_CLUSTER}-cluster-ca-cert"
KAFKA_SECRET = "kafka-credentials"  # noqa: S105  a Secret's name
VALKEY_FOLDER = "/var/run/secrets/bellwether/valkey"
VALKEY_SECRET = "valkey-credentials"  # noqa: S105  as above
VALKEY_PORT = 6379


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """What a workload that reaches something is given."""

    address: str
    environment: dict[str, str]
    mounts: tuple[workload.Mount, ...]
    way: network.Way


def kafka(stack: settings.Cluster, user: str) -> Access:
    """Give `user` access to Kafka: its certificate from Strimzi, or a managed one's password."""
    managed = stack.kafka.managed
    if managed is not None:
        ports = {int(each.rpartition(":")[2]) for each in managed.bootstrap.split(",")}
        return Access(
            managed.bootstrap,
            {
                "BELLWETHER_KAFKA_SASL_USERNAME": managed.username,
                "BELLWETHER_KAFKA_SASL_PASSWORD_FILE": f"{KAFKA_FOLDER}/password",
            },
            (workload.Mount(KAFKA_FOLDER, KAFKA_SECRET),),
            network.Way("Kafka, managed", tuple(sorted(ports)), networks=managed.networks),
        )
    return Access(
        f"{KAFKA_CLUSTER}-kafka-bootstrap:{KAFKA_PORT}",
        {
            "BELLWETHER_KAFKA_AUTHORITY_FILE": f"{KAFKA_FOLDER}/authority/ca.crt",
            "BELLWETHER_KAFKA_CERTIFICATE_FILE": f"{KAFKA_FOLDER}/client/user.crt",
            "BELLWETHER_KAFKA_KEY_FILE": f"{KAFKA_FOLDER}/client/user.key",
        },
        (
            workload.Mount(f"{KAFKA_FOLDER}/authority", KAFKA_AUTHORITY, keys=("ca.crt",)),
            workload.Mount(f"{KAFKA_FOLDER}/client", user, keys=("user.crt", "user.key")),
        ),
        network.Way("Kafka", (KAFKA_PORT,), matching=KAFKA_PODS),
    )


def valkey(stack: settings.Cluster) -> Access:
    """Give access to Valkey's primary."""
    managed = stack.valkey.managed
    environment = {"BELLWETHER_VALKEY_PASSWORD_FILE": f"{VALKEY_FOLDER}/password"}
    mounts = (workload.Mount(VALKEY_FOLDER, VALKEY_SECRET),)
    if managed is not None:
        environment["BELLWETHER_VALKEY_TLS"] = "true"
        port = int(managed.address.rpartition(":")[2])
        way = network.Way("Valkey, managed", (port,), networks=managed.networks)
        return Access(managed.address, environment, mounts, way)
    # Copies answer at the headless service as well: the proxy leads to whichever is the primary.
    name = "valkey-primary" if stack.valkey_replicas else "valkey"
    way = network.Way("Valkey", (VALKEY_PORT,), pods=name)
    return Access(f"{name}:{VALKEY_PORT}", environment, mounts, way)
