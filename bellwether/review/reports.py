"""The JSON files that a comment is made of, by their names in one folder.

`preview-<stack>.json`, `rendered-<stack>.json`, `policies-<stack>.json`, `images*.json`, `load.json`,
and `<any of them>.txt` where what should have made it failed and said why.
"""

import dataclasses
import pathlib
import typing

import pydantic

from bellwether.review import change, comparison, digest

MANDATORY, EXCUSED = "mandatory", "excused"


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True)


class Violation(_Part):
    """One rule that does not hold, for one object."""

    rule: str
    severity: str
    object: str
    path: str = ""
    message: str
    remedy: str = ""


class Policies(_Part):
    """What `bellwether policies --json` says of everything that a stack registers."""

    judgements: tuple[Violation, ...]

    @pydantic.model_validator(mode="before")
    @classmethod
    def _listed(cls, given: typing.Any) -> typing.Any:
        return {"judgements": given} if isinstance(given, list) else given

    @property
    def mandatory(self) -> tuple[Violation, ...]:
        """Those that stop a deployment."""
        return tuple(each for each in self.judgements if each.severity == MANDATORY)

    @property
    def violations(self) -> tuple[Violation, ...]:
        """All that are not excused."""
        return tuple(each for each in self.judgements if each.severity != EXCUSED)


class Image(_Part):
    """One image that was built."""

    name: str
    megabytes: float
    """10^6 bytes, unpacked."""
    budget: float
    digest: str | None = None

    @property
    def fits(self) -> bool:
        """Whether it is within its budget."""
        return self.megabytes <= self.budget


class Images(_Part):
    """What `bellwether images build --json` says."""

    images: tuple[Image, ...]

    @pydantic.model_validator(mode="before")
    @classmethod
    def _listed(cls, given: typing.Any) -> typing.Any:
        return {"images": given} if isinstance(given, list) else given


class Journey(_Part):
    """One journey of a load test; latencies in milliseconds."""

    journey: str
    requests: int
    failed: int
    requests_per_second: float
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


class Load(_Part):
    """What `bellwether load --json` says."""

    holds: bool
    broken: tuple[str, ...] = ()
    parts: tuple[Journey, ...]


@dataclasses.dataclass(frozen=True)
class Stack:
    """What is known of one stack."""

    name: str
    preview: digest.Preview | None = None
    rendered: comparison.Rendered | None = None
    policies: Policies | None = None

    @property
    def changes(self) -> tuple[change.Change, ...]:
        """What changes: as the engine says, else as the renderings differ."""
        if self.preview is not None:
            return self.preview.changes
        return () if self.rendered is None else self.rendered.changes


@dataclasses.dataclass(frozen=True)
class Reports:
    """Everything that a comment is made of; what was not made is absent."""

    stacks: tuple[Stack, ...] = ()
    images: Images | None = None
    load: Load | None = None
    failures: tuple[tuple[str, str], ...] = ()
    """(what should have been made, what was said)."""


Model = typing.TypeVar("Model", bound=pydantic.BaseModel)
_ORDER = ("dev", "staging", "production")
_PREFIXES = ("preview-", "rendered-", "policies-")
_SAID_LINES = 30


def read(folder: pathlib.Path) -> Reports:
    """Read every report in a folder.

    Raises:
        digest.ReportError: the folder is missing, or a file in it is not what its name says.

    """
    if not folder.is_dir():
        raise digest.ReportError(f"{folder} is no folder: `--reports` names that of the JSON files")
    files = {path.stem: path for path in sorted(folder.glob("*.json"))}
    names = {
        stem.removeprefix(prefix)
        for stem in files
        for prefix in _PREFIXES
        if stem.startswith(prefix)
    }
    return Reports(
        stacks=tuple(_stack(name, files) for name in sorted(names, key=_rank)),
        images=_images(folder),
        load=_read(Load, files.get("load")),
        failures=tuple(
            (path.stem, _last_lines(path.read_text())) for path in sorted(folder.glob("*.txt"))
        ),
    )


def pushed(folder: pathlib.Path) -> dict[str, str]:
    """Give the digests of the images that were pushed, by name; none where there are no reports."""
    found = _images(folder)
    return {each.name: each.digest for each in found.images if each.digest} if found else {}


def _images(folder: pathlib.Path) -> Images | None:
    """Read `images.json` and every `images-….json`: several jobs may have built."""
    found = [read_as(Images, path) for path in sorted(folder.glob("images*.json"))]
    every = {each.name: each for images in found for each in images.images}
    return Images(images=tuple(every[name] for name in sorted(every))) if found else None


def _rank(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


def _stack(name: str, files: dict[str, pathlib.Path]) -> Stack:
    preview = files.get(f"preview-{name}")
    return Stack(
        name=name,
        preview=digest.read(preview) if preview else None,
        rendered=_read(comparison.Rendered, files.get(f"rendered-{name}")),
        policies=_read(Policies, files.get(f"policies-{name}")),
    )


def _read(model: type[Model], path: pathlib.Path | None) -> Model | None:
    return None if path is None else read_as(model, path)


def read_as(model: type[Model], path: pathlib.Path) -> Model:
    """Read one report.

    Raises:
        digest.ReportError: the file is something else.

    """
    try:
        return model.model_validate_json(path.read_text())
    except pydantic.ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, problem["loc"])) or "the document"
        raise digest.ReportError(
            f"{path} is no report of {model.__name__.lower()}: {place}: {problem['msg']}"
        ) from error


def _last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_SAID_LINES:])
