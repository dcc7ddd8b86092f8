"""Where things are: the checkout, the local environment's home, the cache.

`BELLWETHER_HOME` moves the home (default `.bellwether/` in the checkout),
`BELLWETHER_CACHE` moves the cache (default `~/.cache/bellwether`).
"""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
"""The checkout."""


def home() -> pathlib.Path:
    """Everything that the local environment keeps: state, logs, data. It may be deleted at any time."""
    return pathlib.Path(os.environ.get("BELLWETHER_HOME") or ROOT / ".bellwether").absolute()


def cache() -> pathlib.Path:
    """What is expensive to make and keyed by its content: tools, environments, artifacts."""
    default = pathlib.Path.home() / ".cache" / "bellwether"
    return pathlib.Path(os.environ.get("BELLWETHER_CACHE") or default).absolute()
