"""A calibration with plain numbers."""

import json
import pathlib
from typing import Any

CALIBRATION: dict[str, Any] = {
    "schema": 1,
    "factor": 1.5,
    "horizon_days": 5,
    "intercept": 1.0,
    "log_width": -2.0,
    "regimes": {"volatile": -0.5, "rising": 0.1, "falling": 0.0, "calm": 0.25},
    "models": {
        "robust-predictor": {"offset": 0.05, "artifacts": ["sha256-aa", "manifest-sha256-bb"]},
        "baseline-predictor": {"offset": -0.05, "artifacts": ["sha256-cc"]},
    },
    "symbols": ["SPX", "WTI"],
    "unseen_symbol": 0.75,
    "width": {"lowest": 0.5, "highest": 2.0},
    "volatility": {"lowest": 0.05, "highest": 1.5},
    "fallback": 0.55,
}


def write(folder: pathlib.Path, **changes: Any) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    document = json.dumps({**CALIBRATION, **changes})
    (folder / "calibration.json").write_text(document)
    return folder
