"""Named baselines: runs that are kept, so that later ones can be compared with them.

A baseline is a folder `<baselines>/<name>/<run>/`; each `--save-baseline` of the name adds a run,
and the newest ten stay: several runs say how much one differs from the next.
"""

import dataclasses
import json
import pathlib
import re
import shutil

from loadtests import endpoints, plan

MOST_RUNS = 10

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SAME = ("journey", "shape", "protocol", "users", "seconds", "rate", "models", "experiment")


@dataclasses.dataclass(frozen=True, slots=True)
class Baseline:
    """The runs of a name, oldest first."""

    name: str
    runs: tuple[plan.Plan, ...]

    def check(self, of: plan.Plan) -> None:
        """Raise `LoadTestError` naming what `of` does otherwise: it could not be compared."""
        kept = self.runs[-1]
        different = [
            f"{field} {getattr(of, field)!s} instead of {getattr(kept, field)!s}"
            for field in _SAME
            if getattr(of, field) != getattr(kept, field)
        ]
        if different:
            raise endpoints.LoadTestError(
                f"baseline {self.name!r} is of another load test: this one has "
                f"{', '.join(different)}; ask for the same, or save under another name"
            )


def check_name(name: str) -> None:
    """Raise `LoadTestError` for what cannot be a baseline's name."""
    if not _NAME.fullmatch(name):
        raise endpoints.LoadTestError(
            f"{name!r} cannot be a baseline's name: letters, digits, dots, dashes, up to 64"
        )


def read(folder: pathlib.Path, name: str) -> Baseline:
    """Read a baseline; raises `LoadTestError` naming those that there are."""
    check_name(name)
    runs = _runs(folder / name)
    if not runs:
        known = sorted(each.name for each in folder.glob("*") if _runs(each))
        raise endpoints.LoadTestError(
            f"there is no baseline {name!r} in {folder}, only {', '.join(known) or 'none'}; "
            f"`--save-baseline {name}` keeps a run"
        )
    return Baseline(name, tuple(_plan(run) for run in runs))


def check(folder: pathlib.Path, name: str, of: plan.Plan) -> None:
    """Raise `LoadTestError` if a run cannot be kept: the name has runs of another load test."""
    check_name(name)
    if _runs(folder / name):
        read(folder, name).check(of)


def save(folder: pathlib.Path, name: str, of: plan.Plan) -> pathlib.Path:
    """Keep a run; raises `LoadTestError` as `check` does."""
    check(folder, name, of)
    target = folder / name / of.folder.name
    target.mkdir(parents=True, exist_ok=True)
    for path in (of.samples, of.due, of.summary, of.folder / "plan.json"):
        shutil.copyfile(path, target / path.name)
    for old in _runs(folder / name)[:-MOST_RUNS]:
        shutil.rmtree(old)
    return target


def _runs(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path.parent for path in folder.glob("*/plan.json"))


def _plan(run: pathlib.Path) -> plan.Plan:
    path = run / "plan.json"
    try:
        kept = plan.parse(json.loads(path.read_text()))
    except (ValueError, TypeError, KeyError) as error:
        raise endpoints.LoadTestError(
            f"{path} is no load test's plan of this version ({error!r}); remove {run}"
        ) from error
    return dataclasses.replace(kept, folder=run)
