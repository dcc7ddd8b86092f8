"""Keeps the drift scores at hand."""

import logging
from collections.abc import Mapping

import redis.asyncio

from runtimes.contract import following

from . import metrics, scores

logger = logging.getLogger("mlserver.bellwether.guard")


class Follower(following.Follower):
    """The scores as they were read last; what Valkey does not answer stays as it was."""

    def __init__(self, address: str, model: str) -> None:
        super().__init__(address, model, metrics.DRIFT_READS, logger)
        self.latest: Mapping[str, scores.Score] = {}

    async def fetch(self, valkey: redis.asyncio.Redis) -> None:
        """See `following.Follower`."""
        found = {}
        for symbol, value in (await valkey.hgetall(scores.KEY)).items():
            try:
                found[_text(symbol)] = scores.Score.decode(value)
            except ValueError as error:
                self.malformed()
                logger.warning("%s in Valkey, field %r: %s", scores.KEY, symbol, error)
        self.latest = found

    def gone(self) -> str:
        """See `following.Follower`."""
        return "drift scores stay as they are, for a while"


def _text(field: bytes | str) -> str:
    return field if isinstance(field, str) else field.decode()
