"""The topics that pipelines write to, made in the background, however long the broker is away."""

import asyncio
import contextlib
import logging
import typing

import confluent_kafka
from confluent_kafka import admin as _admin

admin: typing.Any = _admin  # its types export nothing of what it documents

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
CHECK_SECONDS = 30.0
"""How often what is there is looked at again: a broker may have come back empty."""

_ASK_SECONDS = 2.0  # a process that ends waits for it


class TopicKeeper:
    """Sees to it that topics are there."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self._bootstrap = bootstrap
        self._partitions = partitions
        self._wanted: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._admin: typing.Any = None

    def want(self, topics: frozenset[str]) -> None:
        """Say which topics there have to be from now on. None is ever deleted."""
        if topics != self._wanted:
            self._wanted = topics
            self._changed.set()

    async def keep(self) -> None:
        """Make what is missing, for ever."""
        away = False
        while True:
            self._changed.clear()
            try:
                made = await asyncio.to_thread(self._make_missing, self._wanted)
            except (confluent_kafka.KafkaException, TimeoutError) as error:
                if not away:
                    logger.warning("pipelines' topics cannot be made yet, trying on: %s", error)
                away, pause = True, RETRY_SECONDS
            else:
                if made or away:
                    logger.info("pipelines' topics are there, %d made", made)
                away, pause = False, CHECK_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause)

    def _make_missing(self, wanted: frozenset[str]) -> int:
        if not wanted:
            return 0
        if self._admin is None:
            self._admin = admin.AdminClient(
                {"bootstrap.servers": self._bootstrap, "client.id": "pipelines", "log_level": 2}
            )
        missing = wanted - self._admin.list_topics(timeout=_ASK_SECONDS).topics.keys()
        if not missing:
            return 0
        asked = [
            admin.NewTopic(name, num_partitions=self._partitions, replication_factor=1)
            for name in sorted(missing)
        ]
        for future in self._admin.create_topics(asked, request_timeout=_ASK_SECONDS).values():
            try:
                future.result(2 * _ASK_SECONDS)
            except confluent_kafka.KafkaException as error:
                if error.args[0].code() != confluent_kafka.KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
        return len(missing)
