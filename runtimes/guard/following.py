"""Keeps the drift scores at hand: reads them from Valkey in the background, never for a request."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping

import redis.asyncio
import redis.asyncio.retry
import redis.backoff
import redis.exceptions

from . import addresses, metrics, scores

logger = logging.getLogger("mlserver.bellwether.guard")

INTERVAL_SECONDS = 0.2
_TIMEOUT_SECONDS = 1.0


class Follower:
    """The scores as they were read last; what Valkey does not answer stays as it was."""

    def __init__(self, address: str, model: str) -> None:
        self.latest: Mapping[str, scores.Score] = {}
        host, port = addresses.split(address)
        self._address = address
        self._valkey = redis.asyncio.Redis(
            host=host,
            port=port,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0),
        )
        self._reads = {
            outcome: metrics.DRIFT_READS.labels(model, outcome)
            for outcome in ("ok", "away", "malformed")
        }
        self._task: asyncio.Task[None] | None = None
        self._away = False

    def start(self) -> None:
        """Read from now on, in the running event loop."""
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Read no longer."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._valkey.aclose()

    async def read(self) -> None:
        """Read once; what cannot be read is counted, and logged when it begins and ends."""
        try:
            values = await self._valkey.hgetall(scores.KEY)
        except (redis.exceptions.RedisError, OSError) as error:
            self._reads["away"].inc()
            if not self._away:
                logger.warning(
                    "Valkey at %s is away (%s): drift scores stay as they are, for a while",
                    self._address,
                    error,
                )
            self._away = True
            return
        if self._away:
            logger.warning("Valkey at %s is back", self._address)
        self._away = False
        found = {}
        for symbol, value in values.items():
            try:
                found[_text(symbol)] = scores.Score.decode(value)
            except ValueError as error:
                self._reads["malformed"].inc()
                logger.warning("%s in Valkey, field %r: %s", scores.KEY, symbol, error)
        self.latest = found
        self._reads["ok"].inc()

    async def _follow(self) -> None:
        while True:
            await self.read()
            await asyncio.sleep(INTERVAL_SECONDS)


def _text(field: bytes | str) -> str:
    return field if isinstance(field, str) else field.decode()
