"""Trains what is not trained yet, models side by side, members before what combines them."""

import contextlib
import dataclasses
import fcntl
import functools
import pathlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from runtimes.predictor import artifact

from . import (
    artifacts,
    cache,
    dataset,
    discovery,
    features,
    fitting,
    index,
    procedure,
    processes,
    provenance,
    sources,
    steps,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """One model after `run`."""

    record: index.Record
    trained: bool
    """Whether it was trained now; else it was up to date."""


Report = Callable[[str, str], None]
"""Called with a model's name and `training`, `trained` or `unchanged`."""


def wanted(names: Sequence[str]) -> tuple[str, ...]:
    """Add the members of every model that combines others, in training order."""
    needed = {*names, *(member for name in names for member in discovery.members(name))}
    return tuple(name for name in discovery.folders() if name in needed)


def run(
    source: sources.Source, seed: int, names: Sequence[str], report: Report
) -> dict[str, Result]:
    """Train `names` and their members on `source`; what is up to date stays as it is."""
    with _alone():
        origins = provenance.of_all(source, seed)
        found = {name: index.find(origins[name]) for name in wanted(names)}
        results = {
            name: Result(record, trained=False)
            for name, record in found.items()
            if record is not None
        }
        for name in results:
            report(name, "unchanged")
        stale = [name for name, record in found.items() if record is None]
        if stale:
            # Once, and here: bad data is refused before any process starts.
            dataset.load(source)
        for combining in (False, True):
            jobs = {
                name: functools.partial(
                    _train,
                    source,
                    origins[name],
                    {member: results[member].record for member in discovery.members(name)},
                )
                for name in stale
                if discovery.declared(name).combines is combining
            }
            for name in jobs:
                report(name, "training")
            for name, record in processes.run(jobs):
                results[name] = Result(record, trained=True)
                report(name, "trained")
        return {name: results[name] for name in found}


def build_steps(source: sources.Source, seed: int, report: Report) -> dict[str, Result]:
    """Build the steps of the pipeline; all models have to be trained."""
    with _alone():
        origins = provenance.of_all(source, seed)
        records = {name: index.find(origin) for name, origin in origins.items()}
        models = {name: record for name, record in records.items() if record is not None}
        wanted_steps = provenance.of_steps(source, seed, origins)
        found = {name: index.find(origin) for name, origin in wanted_steps.items()}
        results = {
            name: Result(record, trained=False)
            for name, record in found.items()
            if record is not None
        }
        jobs = {
            name: functools.partial(_build, source, wanted_steps[name], models)
            for name, record in found.items()
            if record is None
        }
        for name in found:
            report(name, "training" if name in jobs else "unchanged")
        for name, record in processes.run(jobs):
            results[name] = Result(record, trained=True)
            report(name, "trained")
        return {name: results[name] for name in found}


def _build(
    source: sources.Source, origin: provenance.Provenance, models: Mapping[str, index.Record]
) -> index.Record:
    started = time.perf_counter()
    task = steps.Task(data=dataset.load(source), source=source, seed=origin.seed, models=models)
    folder = artifacts.save_step(origin.model, task)
    record = index.Record(
        key=origin.key,
        model=origin.model,
        artifact=folder.name,
        seconds=round(time.perf_counter() - started, 2),
        forecasts=False,
    )
    index.write(record)
    return record


def _train(
    source: sources.Source,
    origin: provenance.Provenance,
    members: Mapping[str, index.Record],
) -> index.Record:
    started = time.perf_counter()
    data = dataset.load(source)
    names = tuple(column.name for column in features.FEATURES)
    trained = procedure.train(
        origin.model,
        data,
        names,
        seed=origin.seed,
        members={name: _member(record) for name, record in members.items()},
    )
    folder = artifacts.save(trained, data, source, origin)
    record = index.Record(
        key=origin.key,
        model=origin.model,
        artifact=folder.name,
        seconds=round(time.perf_counter() - started, 2),
    )
    artifacts.save_ledger(record.ledger, trained.ledger)
    index.write(record)
    return record


def _member(record: index.Record) -> fitting.Member:
    return fitting.Member(
        estimator=artifact.load(record.folder).estimator,
        ledger=artifacts.load_ledger(record.ledger),
        folder=record.folder,
    )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other training writes the cache, and sweep out what a killed one left."""
    cache.root().mkdir(parents=True, exist_ok=True)
    with (cache.root() / "training.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in _leftovers():
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()
        yield


def _leftovers() -> list[pathlib.Path]:
    return [*cache.artifacts().glob("*/.new-*"), *cache.index().glob(".new-*")]
