"""Where things are: the checkout, the local environment's home, the cache.

`BELLWETHER_HOME` moves the home (default `.bellwether/` in the checkout),
`BELLWETHER_CACHE` moves the cache (default `~/.cache/bellwether`).
"""

import hashlib
import os
import pathlib
import tempfile

_SOCKET_PATH_LIMIT = 100

ROOT = pathlib.Path(__file__).resolve().parent.parent
"""The checkout."""


def home() -> pathlib.Path:
    """Everything that the local environment keeps: state, logs, data. It may be deleted at any time."""
    return pathlib.Path(os.environ.get("BELLWETHER_HOME") or ROOT / ".bellwether").absolute()


def socket(wanted: pathlib.Path) -> pathlib.Path:
    """Give a path that a Unix socket can have: `wanted`, or a short one of the user's in its stead.

    Linux takes 107 bytes.
    """
    if len(os.fsencode(wanted)) <= _SOCKET_PATH_LIMIT:
        return wanted
    short = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]
    return pathlib.Path(tempfile.gettempdir()) / f"bellwether-{os.getuid()}-{short}.sock"


def cache() -> pathlib.Path:
    """What is expensive to make and keyed by its content: tools, environments, artifacts."""
    default = pathlib.Path.home() / ".cache" / "bellwether"
    return pathlib.Path(os.environ.get("BELLWETHER_CACHE") or default).absolute()
