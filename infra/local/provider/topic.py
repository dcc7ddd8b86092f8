"""Resource type `Topic`: a Kafka topic. Its records outlive its declaration."""

import typing

import confluent_kafka
import pydantic
from confluent_kafka import admin as _admin

from infra.local.provider import handler, values

admin: typing.Any = _admin  # its types export nothing of what it documents

_REQUEST_SECONDS = 10.0


class TopicInputs(handler.Inputs):
    """A topic's name, partitions and configuration (`retention.ms`, `cleanup.policy`, …)."""

    bootstrap: str = pydantic.Field(pattern=r"^127\.0\.0\.1:\d+$")
    name: str = pydantic.Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    partitions: int = pydantic.Field(ge=1, le=1000)
    configuration: dict[str, str] = pydantic.Field(default_factory=dict)


class TopicHandler(handler.Handler[TopicInputs]):
    """Created or adopted, extended, configured; never emptied."""

    inputs = TopicInputs
    replace_on = frozenset({"bootstrap", "name"})

    def identify(self, wanted: TopicInputs) -> str:
        """A topic is its name."""
        return wanted.name

    def create(self, wanted: TopicInputs, timeout: float) -> values.Plain:
        """Create it, or adopt the one that is there."""
        client = _client(wanted.bootstrap)
        topic = admin.NewTopic(
            wanted.name,
            num_partitions=wanted.partitions,
            replication_factor=1,
            config=dict(wanted.configuration),
        )
        try:
            _result(client.create_topics([topic], request_timeout=timeout), wanted)
        except confluent_kafka.KafkaException as error:
            if error.args[0].code() != confluent_kafka.KafkaError.TOPIC_ALREADY_EXISTS:
                raise handler.ResourceError(
                    f"topic {wanted.name}: {error.args[0].str()}"
                ) from error
            return self._align(client, wanted)
        return {}

    def read(self, last: TopicInputs) -> values.Plain | None:
        """Give partitions and those configuration values that are declared."""
        client = _client(last.bootstrap)
        try:
            topics = client.list_topics(topic=None, timeout=_REQUEST_SECONDS).topics
        except confluent_kafka.KafkaException:
            return (
                None  # the broker is away; its own resource says so, and this one is adopted again
            )
        if last.name not in topics:
            return None
        real = _configuration(client, last.name)
        return {
            "partitions": len(topics[last.name].partitions),
            "configuration": {name: real.get(name, "") for name in last.configuration},
        }

    def update(self, old: TopicInputs, wanted: TopicInputs, timeout: float) -> values.Plain:
        """Extend and configure it."""
        del old, timeout
        return self._align(_client(wanted.bootstrap), wanted)

    def delete(self, last: TopicInputs, timeout: float) -> None:
        """Keep it: records are data. The program declares topics as retained and never asks for this."""
        del timeout
        raise handler.ResourceError(
            f"topic {last.name} holds records and is not deleted by `pulumi destroy`: "
            "declare it with retain_on_delete, and delete it with Kafka's own tools if you mean it"
        )

    @staticmethod
    def _align(client: typing.Any, wanted: TopicInputs) -> values.Plain:
        topics = client.list_topics(topic=wanted.name, timeout=_REQUEST_SECONDS).topics
        partitions = len(topics[wanted.name].partitions)
        if wanted.partitions < partitions:
            raise handler.ResourceError(
                f"topic {wanted.name} has {partitions} partitions and Kafka cannot take any away: "
                f"declare at least {partitions}, or another topic"
            )
        if wanted.partitions > partitions:
            more = admin.NewPartitions(wanted.name, wanted.partitions)
            _result(client.create_partitions([more]), wanted)
        real = _configuration(client, wanted.name)
        entries = [
            admin.ConfigEntry(name, value, incremental_operation=admin.AlterConfigOpType.SET)
            for name, value in wanted.configuration.items()
            if real.get(name) != value
        ]
        if entries:
            resource = admin.ConfigResource(
                admin.ResourceType.TOPIC, wanted.name, incremental_configs=entries
            )
            next(iter(client.incremental_alter_configs([resource]).values())).result()
        return {}


def _client(bootstrap: str) -> typing.Any:
    return admin.AdminClient(
        {"bootstrap.servers": bootstrap, "socket.timeout.ms": 10000, "log_level": 0}
    )


def _result(futures: typing.Any, wanted: TopicInputs) -> None:
    futures[wanted.name].result(timeout=_REQUEST_SECONDS * 3)


def _configuration(client: typing.Any, name: str) -> dict[str, str]:
    resource = admin.ConfigResource(admin.ResourceType.TOPIC, name)
    described = next(iter(client.describe_configs([resource]).values())).result(_REQUEST_SECONDS)
    return {entry.name: entry.value for entry in described.values()}
