"""Keeps what Valkey says at hand: read in the background, again and again, never for a request."""

import abc
import asyncio
import contextlib
import logging

import prometheus_client
import redis.asyncio
import redis.asyncio.retry
import redis.backoff
import redis.exceptions

from . import addresses, credentials

INTERVAL_SECONDS = 0.2
_TIMEOUT_SECONDS = 1.0

OUTCOMES = ("ok", "away", "malformed")


class Follower(abc.ABC):
    """Reads from Valkey every `INTERVAL_SECONDS` once it was started.

    `reads` counts by `model` and `outcome`: ok, away, malformed.
    """

    def __init__(
        self, address: str, model: str, reads: prometheus_client.Counter, logger: logging.Logger
    ) -> None:
        host, port = addresses.split(address)
        self._address = address
        self._logger = logger
        self._valkey = redis.asyncio.Redis(
            host=host,
            port=port,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            **credentials.valkey(),
            retry=redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0),
        )
        self._reads = {outcome: reads.labels(model, outcome) for outcome in OUTCOMES}
        self._task: asyncio.Task[None] | None = None
        self.away: str | None = None
        """Why Valkey did not answer the last time, if it did not."""

    @abc.abstractmethod
    async def fetch(self, valkey: redis.asyncio.Redis) -> None:
        """Ask, and keep the answer; call `malformed` for what cannot be used of it."""

    @abc.abstractmethod
    def gone(self) -> str:
        """Say what becomes of what is known while Valkey is away, and see to it."""

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
            await self.fetch(self._valkey)
        except (redis.exceptions.RedisError, OSError) as error:
            self._reads["away"].inc()
            consequence = self.gone()
            if self.away is None:
                self._logger.warning(
                    "Valkey at %s is away (%s): %s", self._address, error, consequence
                )
            self.away = str(error)
            return
        if self.away is not None:
            self._logger.warning("Valkey at %s is back", self._address)
        self.away = None
        self._reads["ok"].inc()

    def malformed(self) -> None:
        """Count something that cannot be used."""
        self._reads["malformed"].inc()

    async def _follow(self) -> None:
        while True:
            await self.read()
            await asyncio.sleep(INTERVAL_SECONDS)
