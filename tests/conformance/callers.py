"""Callers that ask all the time, and count what they were not answered."""

import collections
import threading
from types import TracebackType
from typing import Self

import httpx

from tests.conformance.environment import Environment, eventually
from tests.conformance.worlds import body


class Callers:
    """Asks a model or experiment from several threads until the block ends.

    `failures` counts what was not a 200, by status or by the error's name.
    """

    def __init__(self, environment: Environment, name: str, count: int = 8) -> None:
        self._environment = environment
        self._name = name
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]
        self.answered: collections.Counter[str] = collections.Counter()
        self.failures: collections.Counter[str] = collections.Counter()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        # What happens in the block shall happen under load: it begins once every caller asks.
        eventually(lambda: self.asked >= len(self._threads), "the callers ask")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def asked(self) -> int:
        """How many requests there were."""
        return self.answered.total() + self.failures.total()

    def _ask(self) -> None:
        headers = {"seldon-model": self._name}
        with httpx.Client(base_url=self._environment.gateway_url, timeout=30) as client:
            while not self._stop.is_set():
                try:
                    response = client.post("/v2/models/x/infer", json=body(1), headers=headers)
                except httpx.HTTPError as error:
                    self.failures[type(error).__name__] += 1
                    continue
                if response.status_code == 200:
                    self.answered[response.headers["x-seldon-route"]] += 1
                else:
                    self.failures[f"{response.status_code} {response.text[:200]}"] += 1
