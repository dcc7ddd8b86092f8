"""Draws Evidently's drift report: `python -m bellwether.reports.drift_page GIVEN.npz ASKED.json`.

Runs in the environment of group `monitor`, and imports nothing of this repository.
"""

import json
import os
import pathlib
import sys
from typing import Any

os.environ["DO_NOT_TRACK"] = "1"  # Evidently would tell its makers that it is used

import evidently
import evidently.presets
import numpy as np
import pandas as pd


def main(given: pathlib.Path, asked: pathlib.Path) -> None:
    """Write the page, and print each feature's p-value as JSON."""
    wanted = json.loads(asked.read_text(encoding="utf-8"))
    names: list[str] = wanted["features"]
    with np.load(given, allow_pickle=False) as arrays:
        current = pd.DataFrame(arrays["current"], columns=names)
        reference = pd.DataFrame(arrays["reference"], columns=names)
    columns = evidently.DataDefinition(numerical_columns=names)
    report = evidently.Report(
        [
            evidently.presets.DataDriftPreset(
                num_method="ks", num_threshold=wanted["threshold"], drift_share=wanted["share"]
            )
        ],
        metadata=wanted["about"],
    )
    found = report.run(
        evidently.Dataset.from_pandas(current, data_definition=columns),
        evidently.Dataset.from_pandas(reference, data_definition=columns),
    )
    found.save_html(wanted["page"])
    values = {
        each["config"]["column"]: float(each["value"])
        for each in json.loads(found.json())["metrics"]
        if _is_of_a_column(each)
    }
    print(json.dumps(values))  # noqa: T201  what the job hands back


def _is_of_a_column(metric: dict[str, Any]) -> bool:
    return str(metric["config"]["type"]).endswith(":ValueDrift")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
