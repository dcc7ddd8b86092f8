"""One way to ask a part over HTTP: what goes wrong is told by the part's name."""

from typing import Any

import httpx

from . import Away, Missing, Refused

SECONDS = 5.0


class Door:
    """A part that is asked over HTTP."""

    def __init__(self, part: str, client: httpx.AsyncClient) -> None:
        self.part = part
        self._client = client

    @property
    def address(self) -> str:
        """Where it is."""
        return str(self._client.base_url).rstrip("/")

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Ask.

        Raises:
            Away: it does not answer, or cannot just now (5xx).
            Missing: 404.
            Refused: any other refusal, in the part's own words.

        """
        try:
            answer = await self._client.request(method, path, **how)
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            raise Away(self.part, f"{self.address} does not answer ({said})") from error
        if answer.is_success:
            return answer
        said = message(answer)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise Missing(said)
        if answer.is_server_error:
            raise Away(self.part, f"{self.address} answers {answer.status_code}: {said}")
        raise Refused(f"{self.part} refuses ({answer.status_code}): {said}")


def message(answer: httpx.Response) -> str:
    """Give the reason that a refusal carries."""
    try:
        document = answer.json()
    except ValueError:
        document = None
    if isinstance(document, dict):
        for key in ("error", "message", "detail"):
            if document.get(key):
                return str(document[key])
    return answer.text[:500].strip() or "no reason is given"
