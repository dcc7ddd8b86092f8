"""What the monitor knows: how good predictions were, once the truth had come."""

import dataclasses

import httpx

from . import http


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """How one model did over a window of market days; `all` stands for every model or regime."""

    days: int
    model: str
    regime: str
    predictions: int
    log_error: float
    """Mean of |ln(forecast/realised)|."""
    hit_rate: float
    coverage: float
    utility: float
    """Of wealth a year."""


class Monitor(http.Door):
    """The monitor's API."""

    def __init__(self, url: str) -> None:
        super().__init__("monitor", httpx.AsyncClient(base_url=url, timeout=http.SECONDS))

    async def windows(self) -> tuple[Window, ...]:
        """Give performance by window, model and regime."""
        found = (await self.ask("GET", "/windows")).json()
        names = [each.name for each in dataclasses.fields(Window)]
        return tuple(Window(**{name: each[name] for name in names}) for each in found)
