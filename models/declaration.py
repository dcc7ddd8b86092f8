"""What a model's folder says of itself, readable without the libraries that fit it."""

import dataclasses
from typing import Literal

Regime = Literal["volatile", "rising", "falling", "calm"]
"""The names of the market's regimes; `runtimes.contract.regimes` says which days they are."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One model, declared as `DECLARATION` in `models/<name>/__init__.py`."""

    summary: str
    """What it is, in one line, with the source of the method."""
    regime: Regime | None = None
    """The regime that it is made for, or None: every regime."""
    combines: bool = False
    """Whether it is fitted over the forecasts of all models that do not combine others."""
    packages: tuple[str, ...] = ()
    """Libraries, beside numpy, whose versions decide the weights."""
