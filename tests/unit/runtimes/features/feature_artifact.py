"""Writes, in the training environment, an artifact of the step `enrichment` and the models' dataset.

`python feature_artifact.py FOLDER`: of the real data of 2006 to 2018.
"""

import pathlib
import sys

import added_feature
import numpy as np

from models import data, dataset, sources
from models.steps.enrichment import build
from runtimes.features import definitions

FIRST, LAST = "2006-01-01", "2018-12-31"


def main(folder: pathlib.Path) -> None:
    frames = {
        symbol: frame.loc[FIRST:LAST] for symbol, frame in data.load(sources.Source(None)).items()
    }
    artifact = folder / "artifact"
    artifact.mkdir(parents=True)
    build.write(frames, definitions.declare(frames), artifact)
    made = dataset.build(frames)
    np.savez(
        folder / "dataset.npz",
        symbols=np.array(made.symbols),
        symbol=made.symbol,
        date=made.date,
        features=made.features,
        history=made.history(),
    )
    added_feature.add()
    more = folder / "artifact-with-one-more"
    more.mkdir()
    build.write(frames, definitions.declare(frames), more)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
