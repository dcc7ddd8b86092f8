"""Seldon YAML from elsewhere, served as it is: the stack setting `manifests`.

A file may hold several documents, a folder several files, in any mix of the kinds that the mesh has.
Everything is read and checked when the program runs, before anything is changed.
"""

import collections.abc
import dataclasses
import pathlib
import typing

import yaml

from infra import paths, seldon, settings
from infra.catalogue import experiments, models, pipelines, servers
from infra.local.mesh import pipelines as pipeline_rules
from infra.local.mesh import refusal, validation

_SUFFIXES = (".yaml", ".yml")
_ON_A_CLUSTER_ONLY = {
    "SeldonRuntime": "this machine runs the parts of one runtime by itself",
    "ServerConfig": "this machine has one server configuration, `mlserver`",
    "SeldonConfig": "this machine runs the parts of one runtime by itself",
}


@dataclasses.dataclass(frozen=True)
class Given:
    """An object that was found, and where.

    Its namespace is the stack's, and what a cluster wrote into it is left out;
    its specification is as it was given.
    """

    object: seldon.Object
    where: str
    """File and number of the document, from 1."""

    @property
    def kind(self) -> str:
        """The object's kind."""
        return self.object.kind

    @property
    def name(self) -> str:
        """The object's name."""
        return self.object.metadata.name


def read(places: collections.abc.Iterable[pathlib.Path]) -> tuple[Given, ...]:
    """Read files, and the YAML files of folders, in an order in which each comes after its sources.

    Raises:
        settings.SettingsError: naming file, document and path of everything that is wrong.

    """
    problems: list[str] = []
    found: list[Given] = []
    for file in _files(places, problems):
        found += _documents(file, problems)
    problems += _doubles(found)
    if not problems:
        problems += _contradictions(found)
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise settings.SettingsError(f"`{settings.PROJECT}:manifests` is refused:\n{listed}")
    return tuple(_ordered(found))


def _files(
    places: collections.abc.Iterable[pathlib.Path], problems: list[str]
) -> list[pathlib.Path]:
    files: list[pathlib.Path] = []
    for place in places:
        if place.is_dir():
            inside = sorted(each for each in place.rglob("*") if each.suffix in _SUFFIXES)
            if not inside:
                problems.append(f"{_shown(place)}: the folder holds no {' or '.join(_SUFFIXES)}")
            files += inside
        elif place.is_file():
            files.append(place)
        else:
            problems.append(f"{_shown(place)}: there is no such file or folder")
    return list(dict.fromkeys(files))


def _documents(file: pathlib.Path, problems: list[str]) -> list[Given]:
    try:
        documents = list(yaml.safe_load_all(file.read_text()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problems.append(f"{_shown(file)}: is no valid YAML: {error}")
        return []
    found = []
    for number, document in enumerate(documents, 1):
        if document is None:
            continue
        where = f"{_shown(file)}, document {number}"
        try:
            found.append(Given(_object(document), where))
        except seldon.ManifestError as error:
            problems += [f"{where}: {problem.message}" for problem in error.problems]
    return found


def _object(document: typing.Any) -> seldon.Object:
    if not isinstance(document, dict):
        raise _wrong("", f"expected a mapping, got {type(document).__name__}")
    kind = document.get("kind")
    if kind in _ON_A_CLUSTER_ONLY:
        raise _wrong(
            "kind",
            f"kind: {kind} is for a cluster: {_ON_A_CLUSTER_ONLY[kind]}; "
            f"leave it out, served are {', '.join(seldon.KINDS)}",
        )
    parsed = seldon.parse(document)
    metadata = parsed.metadata
    if not metadata.name:
        raise _wrong("metadata.name", "metadata.name: Required value")
    return parsed.model_copy(
        update={
            "metadata": seldon.ObjectMeta(
                name=metadata.name, labels=metadata.labels, annotations=metadata.annotations
            ),
            "status": None,
        }
    )


def _wrong(path: str, message: str) -> seldon.ManifestError:
    return seldon.ManifestError((seldon.Problem("invalid", path, message),))


def _doubles(found: list[Given]) -> list[str]:
    places = {
        (each.kind, each.metadata.name): f"infra/catalogue/{each.plural}.py"
        for each in (*servers.SERVERS, *pipelines.PIPELINES, *experiments.EXPERIMENTS)
    } | {
        ("Model", each.name): "infra/catalogue/models.py"
        for each in (*models.MODELS, *models.STEPS)
    }
    problems = []
    for given in found:
        before = places.setdefault((given.kind, given.name), given.where)
        if before != given.where:
            problems.append(
                f"{given.where}: {given.kind} {given.name} is declared in {before} as well: "
                "keep one of them, or give it another name"
            )
    return problems


def _contradictions(found: list[Given]) -> list[str]:
    """Say what the mesh would refuse."""
    problems = []
    for given in found:
        others = [each.object for each in found if each is not given]
        try:
            validation.check_name(type(given.object), given.name)
            if isinstance(given.object, seldon.Pipeline):
                rest = [each for each in others if isinstance(each, seldon.Pipeline)]
                pipeline_rules.check(given.object, (*rest, *pipelines.PIPELINES))
            if isinstance(given.object, seldon.Experiment):
                split = [each for each in others if isinstance(each, seldon.Experiment)]
                validation.check_experiment(given.object, (*split, *experiments.EXPERIMENTS))
        except refusal.Refusal as refused:
            fields = ", ".join(cause.field for cause in refused.causes)
            problems.append(f"{given.where}: {fields}: {refused.message}")
    return problems


def _ordered(found: list[Given]) -> list[Given]:
    """Put servers first, then models, then pipelines after their feeders, then experiments."""
    rank = {kind: at for at, kind in enumerate(("Server", "Model", "Pipeline", "Experiment"))}
    feeders = {
        each.name: pipeline_rules.feeders(each.object)
        for each in found
        if isinstance(each.object, seldon.Pipeline)
    }

    def depth(pipeline: str) -> int:
        return max((1 + depth(each) for each in feeders.get(pipeline, ())), default=0)

    return sorted(
        found,
        key=lambda each: (rank[each.kind], depth(each.name) if each.kind == "Pipeline" else 0),
    )


def _shown(path: pathlib.Path) -> str:
    return str(path.relative_to(paths.ROOT) if path.is_relative_to(paths.ROOT) else path)
