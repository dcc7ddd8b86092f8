"""`bellwether report drift`: a symbol's last days against its training reference, as a page.

The days are those that were asked for, from topic `feature-monitoring`; the reference is the
guard's artifact. Evidently draws the page, in an environment of its own.
Its p-values take days for independent, which those of a market are not: the guard's own verdict,
whose critical values are from history, stands beside each.
"""

import json
import pathlib
import subprocess
import tempfile
from typing import Any

import numpy as np
import pydantic

from bellwether import environment, steps, training
from bellwether.audit import records
from infra import paths
from infra.catalogue import models
from infra.local import toolchain
from runtimes.guard import artifact, windows
from runtimes.guard import records as days

GROUP = "monitor"
TOPIC = "feature-monitoring"
P_VALUE = 0.05
"""Divided by the number of features (Bonferroni)."""
FEWEST = 25
"""Distinct days below which nothing is compared: the guard's shortest window."""
_SEARCHED = 1_000_000
"""Records that are looked through at most, from the newest back."""


class ReportError(Exception):
    """The report cannot be made; the message says why, and what to do."""


class Feature(pydantic.BaseModel):
    """One feature's comparison."""

    name: str
    p_value: float
    """Of the two-sample Kolmogorov-Smirnov test, for independent days."""
    below_corrected: bool
    statistic: float | None
    """The guard's: D in the window in which it is furthest beyond its critical value."""
    critical: float | None
    days: int | None
    drifted: bool
    """By the guard."""
    mean_before: float
    mean_after: float


class Report(pydantic.BaseModel):
    """What was compared, and what came out."""

    symbol: str
    first: str
    last: str
    days: int
    reference: int
    """Values a feature that are compared with."""
    artifact: str
    threshold: float
    """The corrected p-value."""
    score: float | None
    """The guard's drift score of these days; 0.5 is the border."""
    features: list[Feature]
    page: pathlib.Path


def make(stack: environment.Stack, symbol: str, out: pathlib.Path, count: int = 200) -> Report:
    """Compare the last `count` distinct days of a symbol, and write the page.

    Raises:
        ReportError: with the reason.

    """
    if not out.parent.is_dir():
        raise ReportError(f"{out.parent}: is no folder; make it first")
    folder, usual = _reference(stack)
    if symbol not in usual.references:
        known = ", ".join(sorted(usual.references))
        raise ReportError(f"there is no history of {symbol!r} to compare with; known are {known}")
    with steps.step(f"days of {symbol}") as step:
        found = _days(stack, symbol, usual.features, count)
        step.note = f"{len(found)} distinct days"
    if len(found) < FEWEST:
        raise ReportError(
            f"{len(found)} distinct days of {symbol} were asked for, {FEWEST} are needed: "
            "`uv run bellwether replay` plays history, and the pipeline has to be asked meanwhile"
        )
    if not toolchain.complete(GROUP):
        raise ReportError(
            f"the environment `{GROUP}`, which draws the page, is not installed: "
            "`uv run bellwether setup` installs it"
        )
    current = np.array([day.features for day in found])
    reference = usual.references[symbol]
    threshold = P_VALUE / len(usual.features)
    about = {"symbol": symbol, "first": found[0].date, "last": found[-1].date}
    about |= {"reference": folder.name}
    with steps.step("report"):
        p_values = _drawn(
            {"current": current, "reference": reference.samples.T},
            {
                "features": list(usual.features),
                "threshold": threshold,
                "share": (usual.limits.border + 1) / len(usual.features),
                "about": about,
                "page": str(out.absolute()),
            },
        )
    verdict = usual.limits.judge(reference.ranks(current))
    return Report(
        symbol=symbol,
        first=found[0].date,
        last=found[-1].date,
        days=len(found),
        reference=reference.samples.shape[1],
        artifact=folder.name,
        threshold=threshold,
        score=None if verdict is None else verdict.score,
        features=[
            _feature(place, name, p_values[name], threshold, reference, current, verdict)
            for place, name in enumerate(usual.features)
        ],
        page=out,
    )


def _feature(  # noqa: PLR0913  each is a side of the comparison
    place: int,
    name: str,
    p_value: float,
    threshold: float,
    reference: windows.Reference,
    current: windows.Array,
    verdict: windows.Verdict | None,
) -> Feature:
    return Feature(
        name=name,
        p_value=p_value,
        below_corrected=p_value < threshold,
        statistic=None if verdict is None else float(verdict.statistic[place]),
        critical=None if verdict is None else float(verdict.critical[place]),
        days=None if verdict is None else int(verdict.days[place]),
        drifted=verdict is not None and bool(verdict.drifted[place]),
        mean_before=float(reference.mean[place]),
        mean_after=float(current[:, place].mean()),
    )


def _reference(stack: environment.Stack) -> tuple[pathlib.Path, artifact.Artifact]:
    wanted = stack.settings()
    folder = training.states(wanted.data, wanted.seed)[models.GUARD.artifact]
    if folder is None:
        raise ReportError(
            "the guard's artifact, which holds the reference, is not built, or code or data is "
            "newer: `uv run bellwether train` builds it"
        )
    try:
        return folder, artifact.read(folder)
    except artifact.ArtifactError as error:
        raise ReportError(str(error)) from error


def _days(
    stack: environment.Stack, symbol: str, features: tuple[str, ...], count: int
) -> list[days.Day]:
    """Give the last distinct whole days that were asked for, oldest first."""
    reader = records.Reader(f"127.0.0.1:{stack.settings().ports.kafka}")
    key = symbol.encode()
    known: dict[str, days.Day] = {}
    searched = 0
    try:
        for found in reader.backwards(TOPIC, lambda message: bool(message.key() == key)):
            for record in reversed(found):
                day = _read(record.value, features)
                if day is not None and len(known) < count:
                    known.setdefault(day.date, day)
            searched += len(found)
            if len(known) >= count or searched > _SEARCHED:
                break
    except records.AwayError as error:
        raise ReportError(
            f"{error}: `make up` brings the environment up, `uv run bellwether status` says what "
            "is wrong"
        ) from error
    finally:
        reader.close()
    return [known[date] for date in sorted(known)]


def _read(value: bytes, features: tuple[str, ...]) -> days.Day | None:
    """Give a record's day; None for one that has no part in a comparison, as in the watcher."""
    try:
        day = days.parse(value, features)
    except days.MalformedRecord:
        return None
    return day if day.whole else None


def _drawn(arrays: dict[str, Any], asked: dict[str, Any]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as temporary:
        given, wanted = (pathlib.Path(temporary) / name for name in ("given.npz", "asked.json"))
        np.savez(given, allow_pickle=False, **arrays)
        wanted.write_text(json.dumps(asked), encoding="utf-8")
        done = subprocess.run(
            [
                str(toolchain.python_of(GROUP)),
                str(paths.ROOT / "bellwether" / "reports" / "drift_page.py"),
                str(given),
                str(wanted),
            ],
            cwd=temporary,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise ReportError(f"the report's page was not drawn: {said[-1]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
