"""Are the models trained, and how to train or evaluate them.

Asking is quick and needs neither torch nor pandas; training itself runs in an environment of its
own, by the command lines that are given here.
"""

import pathlib

from models import index, provenance, sources

DataError = sources.DataError


def states(data: pathlib.Path | None, seed: int) -> dict[str, pathlib.Path | None]:
    """Give the artifact of every model and step if it is up to date with code, data and seed.

    None where it is not.

    Raises DataError if `data` is no folder of CSV files.
    """
    source = sources.Source(data)
    origins = _origins(source, seed)
    records = {name: index.find(origin) for name, origin in origins.items()}
    return {name: None if record is None else record.folder for name, record in records.items()}


def provenances(data: pathlib.Path | None, seed: int) -> dict[str, str]:
    """Give what decides the bytes of each artifact, as one SHA-256: of code, data, seed, libraries.

    Raises DataError if `data` is no folder of CSV files.
    """
    return {name: origin.key for name, origin in _origins(sources.Source(data), seed).items()}


def _origins(source: sources.Source, seed: int) -> dict[str, provenance.Provenance]:
    models = provenance.of_all(source, seed)
    return {**models, **provenance.of_steps(source, seed, models)}


def trained(data: pathlib.Path | None, seed: int) -> dict[str, pathlib.Path] | None:
    """Give every model's artifact if all are up to date, else None; see `states`."""
    found = states(data, seed)
    complete = {name: folder for name, folder in found.items() if folder is not None}
    return complete if len(complete) == len(found) else None


def train_command(
    python: pathlib.Path,
    data: pathlib.Path | None,
    seed: int,
    *,
    only: str | None = None,
    as_json: bool = False,
) -> list[str]:
    """Give the command line that trains what is stale.

    `python` is the training environment's; the working folder has to be the checkout.
    Results come on standard output, progress on standard error.
    """
    command = _command(python, "models.train", data, seed, as_json=as_json)
    return command if only is None else [*command, "--only", only]


def evaluate_command(  # noqa: PLR0913  # each is an option of the command
    python: pathlib.Path,
    data: pathlib.Path | None,
    seed: int,
    *,
    models: str | None = None,
    from_year: int | None = None,
    as_json: bool = False,
) -> list[str]:
    """Give the command line of the walk-forward evaluation; see `train_command`."""
    command = _command(python, "models.evaluate", data, seed, as_json=as_json)
    if models is not None:
        command += ["--models", models]
    if from_year is not None:
        command += ["--from-year", str(from_year)]
    return command


def _command(
    python: pathlib.Path, module: str, data: pathlib.Path | None, seed: int, *, as_json: bool
) -> list[str]:
    command = [str(python), "-m", module, "--seed", str(seed)]
    if data is not None:
        command += ["--data", str(data)]
    if as_json:
        command.append("--json")
    return command
