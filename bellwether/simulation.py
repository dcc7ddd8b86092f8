"""`bellwether simulate bandit`: a policy tried in a made-up environment, beside simpler ones."""

import json
import pathlib
from typing import Any

import rich.table

from bellwether import simulation_picture, steps
from infra.catalogue import bandits
from runtimes.bandit import notation
from runtimes.bandit.simulation import environment, trial


class SimulationError(Exception):
    """The environment cannot be simulated."""


def run(path: pathlib.Path, picture: pathlib.Path | None = None) -> dict[str, trial.Regret]:
    """Simulate the environment that a JSON file describes, and draw the curves if asked to.

    Raises:
        SimulationError: the file cannot be read, or describes no environment.

    """
    document = _read(path)
    try:
        given = environment.parse(document)
        trial.spec_of(given, bandits.FINANCIAL_MAB.spec)
    except notation.ManifestError as error:
        lines = "\n".join(f"  {problem.message}" for problem in error.problems)
        raise SimulationError(f"{path} describes no environment:\n{lines}") from error
    with steps.step(f"{given.repetitions} repetitions") as step:
        step.total(1.0)
        shown = [0.0]

        def progress(done: float, what: str) -> None:
            step.advance(done - shown[0])
            shown[0] = done
            step.describe(what)

        found = trial.run(given, bandits.FINANCIAL_MAB.spec, progress)
    if picture:
        try:
            simulation_picture.draw(given, found, picture)
        except (OSError, ValueError) as error:
            raise SimulationError(f"{picture} cannot be written: {error}") from error
    return found


def _read(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise SimulationError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SimulationError(f"{path} is no JSON: {error}") from error


def document(found: dict[str, trial.Regret]) -> dict[str, Any]:
    """Write what came out for programs; `se` is null where one repetition has no spread."""
    return {"regret": {name: {"mean": each.mean, "se": each.se} for name, each in found.items()}}


def table(found: dict[str, trial.Regret]) -> rich.table.Table:
    """Write what came out for people."""
    shown = rich.table.Table(title="expected regret of the whole traffic")
    shown.add_column("")
    for heading in ("mean", "standard error"):
        shown.add_column(heading, justify="right")
    for name, each in found.items():
        shown.add_row(name, f"{each.mean:,.1f}", "" if each.se is None else f"{each.se:,.1f}")
    return shown
