"""Pulumi's property values as plain Python ones, and back."""

import collections.abc
import json
import typing

from pulumi.provider.experimental import property_value

UNKNOWN = object()
"""Stands for a value that is known only once something else was created."""

Plain = dict[str, typing.Any]


def to_plain(values: collections.abc.Mapping[str, property_value.PropertyValue]) -> Plain:
    """Unwrap a map of property values; unknown ones become `UNKNOWN`."""
    return {key: _plain(value) for key, value in values.items() if value.value is not None}


def from_plain(values: Plain) -> dict[str, property_value.PropertyValue]:
    """Wrap a map of plain values; None is left out."""
    return {key: _wrapped(value) for key, value in values.items() if value is not None}


def has_unknown(value: typing.Any) -> bool:
    """Say whether a plain value holds an unknown one anywhere."""
    if isinstance(value, dict):
        return any(has_unknown(part) for part in value.values())
    if isinstance(value, list):
        return any(has_unknown(part) for part in value)
    return value is UNKNOWN


def differences(old: typing.Any, new: typing.Any, path: str) -> list[str]:
    """Give the paths at which two plain values differ, as Pulumi writes them: `spec.steps[0].name`."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted({*old, *new})
        return [
            found
            for key in keys
            for found in differences(old.get(key), new.get(key), f"{path}{_step(key)}")
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            found
            for index, (before, after) in enumerate(zip(old, new, strict=True))
            for found in differences(before, after, f"{path}[{index}]")
        ]
    return [] if old == new else [path]


def _step(key: str) -> str:
    return f".{key}" if key.replace("_", "").isalnum() else f"[{json.dumps(key)}]"


def _plain(value: typing.Any) -> typing.Any:
    content = value.value
    if isinstance(content, property_value.Computed):
        return UNKNOWN
    if isinstance(content, collections.abc.Mapping):
        return {key: _plain(part) for key, part in content.items()}
    if isinstance(content, str):
        return content
    if isinstance(content, collections.abc.Sequence):
        return [_plain(part) for part in content]
    if isinstance(content, float) and content.is_integer():
        return int(content)  # the wire knows floats alone
    return content


def _wrapped(value: typing.Any) -> property_value.PropertyValue:
    if value is UNKNOWN:
        return property_value.PropertyValue.computed()
    if isinstance(value, dict):
        return property_value.PropertyValue({k: _wrapped(v) for k, v in value.items()})
    if isinstance(value, list | tuple):
        return property_value.PropertyValue([_wrapped(part) for part in value])
    if isinstance(value, int) and not isinstance(value, bool):
        return property_value.PropertyValue(float(value))
    return property_value.PropertyValue(value)
