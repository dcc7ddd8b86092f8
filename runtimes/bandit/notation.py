"""How a manifest is written and read: its parts, its numbers, its durations, its errors."""

import datetime as dt
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args

import pydantic
import pydantic_core
from pydantic.alias_generators import to_camel

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:[0-9]+(?:ms|s|m|h|d))+")
_PART = re.compile(r"([0-9]+)(ms|s|m|h|d)")


def _duration(given: Any) -> Any:
    if isinstance(given, dt.timedelta):
        return given
    if not isinstance(given, str) or not _DURATION.fullmatch(given):
        raise ValueError('a duration is written as in "5m", "1h30m" or "500ms", and never negative')
    return dt.timedelta(
        seconds=sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(given))
    )


def _written(duration: dt.timedelta) -> str:
    milliseconds = round(duration.total_seconds() * 1e3)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[
    dt.timedelta,
    pydantic.BeforeValidator(_duration),
    pydantic.PlainSerializer(_written, return_type=str),
    pydantic.WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$"}),
]
"""Written as Kubernetes writes durations: `5m`, `1h30m`, `500ms`."""


def _positive(given: dt.timedelta) -> dt.timedelta:
    if not dt.timedelta(0) < given <= LONGEST:
        raise ValueError(f"a duration of more than 0 s and at most {_written(LONGEST)} is wanted")
    return given


LONGEST = dt.timedelta(days=365)

PositiveDuration = Annotated[Duration, pydantic.AfterValidator(_positive)]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]


class Part(pydantic.BaseModel):
    """A part of the manifest: frozen, camelCase outside, unknown fields and NaN refused."""

    model_config = pydantic.ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        allow_inf_nan=False,
    )


Kind = TypeVar("Kind", bound=pydantic.BaseModel)

_SHOWN = 80
"""Characters of a value that are enough to recognise it."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a manifest; `path` is written as in `spec.prior.mean`."""

    kind: Literal["unknown", "required", "invalid"]
    path: str
    message: str


class ManifestError(ValueError):
    """A manifest that cannot be read; `problems` says everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


def wrong(at: str, why: str) -> pydantic_core.PydanticCustomError:
    """Make the error of a rule between fields; `at` is the path from the part that has the rule."""
    return pydantic_core.PydanticCustomError("rule", "{why}", {"why": why, "at": at})


def parse_as(kind: type[Kind], manifest: Mapping[str, Any]) -> Kind:
    """Read a manifest, or a part of one.

    Raises:
        ManifestError: with every problem found.

    """
    try:
        return kind.model_validate(manifest, by_name=False, by_alias=True)
    except pydantic.ValidationError as error:
        lines = error.errors(include_url=False)
        problems = tuple(_problem(kind, line) for line in lines if not _follows(line, lines))
        raise ManifestError(tuple(dict.fromkeys(problems))) from error


def _follows(line: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a list is called too short only because its items are wrong, which is said as well."""
    at = line["loc"]
    return line["type"] == "too_short" and any(
        len(other["loc"]) > len(at) and other["loc"][: len(at)] == at for other in lines
    )


def _problem(kind: type[pydantic.BaseModel], line: Mapping[str, Any]) -> Problem:
    location, fields = _walk(kind, line["loc"])
    path = _path(location)
    match line["type"]:
        case "extra_forbidden":
            message = f'unknown field "{path}"'
            if near := nearest(str(location[-1]), fields):
                message += f', did you mean "{_path((*location[:-1], near))}"?'
            elif fields:
                message += f", known are: {', '.join(fields)}"
            return Problem("unknown", path, message)
        case "missing":
            return Problem("required", path, f"{path}: Required value")
        case "union_tag_not_found":
            return Problem("required", f"{path}.name", f"{path}.name: Required value")
        case "union_tag_invalid":
            context = line["ctx"]
            known = re.findall(r"'([^']+)'", context["expected_tags"])
            near = nearest(str(context["tag"]), known)
            message = f"{path}.name: {context['tag']!r} is not one of {', '.join(known)}"
            message += f", did you mean {near!r}?" if near else ""
            return Problem("invalid", f"{path}.name", message)
        case "rule":
            path = _path((*location, line["ctx"]["at"]))
            return Problem("invalid", path, f"{path}: Invalid value: {line['msg']}")
    given = repr(line["input"])
    given = given if len(given) <= _SHOWN else given[:_SHOWN] + "…"
    why = line["msg"].removeprefix("Value error, ")
    return Problem("invalid", path, f"{path}: Invalid value: {given}: {why}")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Find the name that was probably meant."""
    lowered = {item.lower(): item for item in known}
    found = difflib.get_close_matches(name.lower().replace("_", ""), lowered, n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path.removeprefix(".")


def _walk(
    kind: type[pydantic.BaseModel], location: tuple[int | str, ...]
) -> tuple[tuple[int | str, ...], tuple[str, ...]]:
    """Give a location without the tags of unions, and the fields where its last step is."""
    parts: tuple[type[pydantic.BaseModel], ...] = (kind,)
    path: list[int | str] = []
    for number, step in enumerate(location):
        tagged = [part for part in parts if len(parts) > 1 and _tag(part) == step]
        if tagged:
            parts = (tagged[0],)
            continue
        path.append(step)
        if isinstance(step, int) or number == len(location) - 1:
            continue
        fields = [f for part in parts for f in part.model_fields.values() if f.alias == step]
        parts = tuple(_parts_in(fields[0].annotation)) if fields else ()
    return tuple(path), tuple(
        dict.fromkeys(str(f.alias) for part in parts for f in part.model_fields.values())
    )


def _tag(part: type[pydantic.BaseModel]) -> Any:
    name = part.model_fields.get("name")
    return name.default if name else None


def _parts_in(annotation: Any) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _parts_in(inner)]
