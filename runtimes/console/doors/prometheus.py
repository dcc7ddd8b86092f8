"""Metrics, asked of Prometheus."""

import dataclasses
import math
from typing import Any

import httpx

from . import http


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """A value with its labels."""

    labels: dict[str, str]
    value: float


class Prometheus(http.Door):
    """The server of metrics."""

    def __init__(self, url: str) -> None:
        super().__init__("Prometheus", httpx.AsyncClient(base_url=url, timeout=http.SECONDS))

    async def now(self, query: str) -> list[Sample]:
        """Evaluate a query at this moment; values that are no numbers are left out."""
        answer = await self.ask("GET", "/api/v1/query", params={"query": query})
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        samples = [Sample(dict(each["metric"]), float(each["value"][1])) for each in found]
        return [each for each in samples if math.isfinite(each.value)]
