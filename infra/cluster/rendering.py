"""Manifests as files: sorted, stable, without a cluster, so that a pull request's diff can be read."""

import collections.abc
import pathlib
import re
import typing

import yaml

from infra.catalogue import capabilities
from infra.cluster import recording

CHARTS = "charts.yaml"
_ORDER = ("apiVersion", "kind", "name", "metadata")
_UNSAFE = re.compile(r"[^-.a-zA-Z0-9@]+")


class _Dumper(yaml.SafeDumper):
    """YAML with texts of several lines as blocks, and no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(document: collections.abc.Mapping[str, typing.Any]) -> str:
    """Write one document: kind and name first, every other key sorted."""
    text: str = yaml.dump(
        _ordered(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )
    return text


def _ordered(value: typing.Any) -> typing.Any:
    if isinstance(value, collections.abc.Mapping):
        first = [key for key in _ORDER if key in value]
        keys = [*first, *sorted(set(value) - set(first))]
        return {key: _ordered(value[key]) for key in keys}
    if isinstance(value, list | tuple):
        return [_ordered(each) for each in value]
    return value


def files(found: collections.abc.Iterable[recording.Registered]) -> dict[str, str]:
    """Give every object as a file, `<component>/<kind>-<name>.yaml`, and the charts in one."""
    made: dict[str, str] = {}
    charts: list[dict[str, typing.Any]] = []
    for each in found:
        if each.is_object:
            name = _UNSAFE.sub("-", each.name.lower().replace("/", "-"))
            made[f"{each.parent or 'stack'}/{name}.yaml"] = dump(_hinted(each))
        elif each.type.startswith("kubernetes:helm.sh/"):
            charts.append(_chart(each))
    if charts:
        charts.sort(key=lambda chart: str(chart["chart"]))
        made[CHARTS] = "---\n".join(dump(chart) for chart in charts)
    return dict(sorted(made.items()))


def _hinted(each: recording.Registered) -> dict[str, typing.Any]:
    """Leave out what is for Pulumi alone."""
    meta = dict(each.inputs["metadata"])
    annotations = {
        key: value
        for key, value in meta.get("annotations", {}).items()
        if not key.startswith("pulumi.com/")
    }
    meta.pop("annotations", None)
    if annotations:
        meta["annotations"] = annotations
    return {**each.inputs, "metadata": meta}


def _chart(each: recording.Registered) -> dict[str, typing.Any]:
    wanted = ("chart", "name", "namespace", "version", "values")
    made = {key: each.inputs[key] for key in wanted if key in each.inputs}
    made["repository"] = each.inputs["repositoryOpts"]["repo"]
    return made


def write(found: collections.abc.Iterable[recording.Registered], out: pathlib.Path) -> int:
    """Write the files below `out`, and take away what an earlier rendering left; give their number."""
    wanted = files(found)
    for path in sorted(out.rglob("*.yaml")):
        if path.relative_to(out).as_posix() not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    for folder in sorted((p for p in out.rglob("*") if p.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return len(wanted)


def capability(
    found: collections.abc.Iterable[recording.Registered], wanted: capabilities.Capability
) -> str:
    """Give the objects of one capability alone, in the order in which they are to be applied."""
    by_title = {each.name: each for each in found if each.is_object}
    documents = [dump(_hinted(by_title[title])) for title in wanted.objects if title in by_title]
    return f"# {wanted.summary}\n" + "---\n".join(documents)
