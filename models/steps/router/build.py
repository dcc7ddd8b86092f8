"""Names the router's runtime, and how long the models' history is."""

import pathlib
from collections.abc import Mapping
from typing import Any

from models import steps


def build(task: steps.Task, folder: pathlib.Path) -> Mapping[str, Any]:
    """Write nothing: a router is its settings. See `steps.Builder`."""
    del folder
    return steps.settings(
        "regime-router", "runtimes.router.runtime.Router", history_days=str(task.data.length)
    )
