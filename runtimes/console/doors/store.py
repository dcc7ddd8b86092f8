"""What the parts say to each other in Valkey, read only."""

import redis.asyncio
import redis.asyncio.retry
import redis.backoff
import redis.exceptions

from runtimes.contract import addresses, credentials

from . import Away

PART = "Valkey"
_SECONDS = 2.0


class Store:
    """The server of online features and scores."""

    def __init__(self, address: str) -> None:
        host, port = addresses.split(address)
        self.address = address
        self._valkey = redis.asyncio.Redis(
            host=host,
            port=port,
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            **credentials.valkey(),
            retry=redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0),
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._valkey.aclose()

    async def ping(self) -> None:
        """Raise `Away` if it does not answer."""
        try:
            await self._valkey.ping()
        except (redis.exceptions.RedisError, OSError) as error:
            raise self._away(error) from error

    async def hash(self, key: str) -> dict[str, bytes]:
        """Give a hash's fields."""
        try:
            found = await self._valkey.hgetall(key)
        except (redis.exceptions.RedisError, OSError) as error:
            raise self._away(error) from error
        return {_text(name): _bytes(value) for name, value in found.items()}

    async def text(self, key: str) -> bytes | None:
        """Give a key's value."""
        try:
            found = await self._valkey.get(key)
        except (redis.exceptions.RedisError, OSError) as error:
            raise self._away(error) from error
        return None if found is None else _bytes(found)

    def _away(self, error: Exception) -> Away:
        return Away(PART, f"{self.address} does not answer ({error})")


def _text(found: bytes | str) -> str:
    return found if isinstance(found, str) else found.decode(errors="replace")


def _bytes(found: bytes | str) -> bytes:
    return found.encode() if isinstance(found, str) else found
