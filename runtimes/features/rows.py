"""A symbol's rows of all feature views in Feast's own layout, written and read in one command each.

Feast keeps all views of an entity in one hash: a field for each feature (the Murmur3 hash of
`<view>:<feature>`), and one for each view's event time (`_ts:<view>`); values are Feast's protobufs.
Its own way in and out goes view by view and through several layers:
31 features of four views take 1.6 ms to write and 5.8 ms to read on two busy cores;
one HSET and one HMGET with the same keys and encoding take a tenth of that,
and whoever reads never sees a symbol's views of two different moments.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from google.protobuf import timestamp_pb2

from runtimes.features import online_row
from runtimes.features.quick_feast import feast

_HELPERS = feast.infra.online_stores.helpers
_TYPES = feast.protos.feast.types

ENTITY_KEY_VERSION = 3


class Layout:
    """Where the features of views lie in a symbol's hash."""

    def __init__(self, project: str, entity: str, views: Mapping[str, Iterable[str]]) -> None:
        self._project = project
        self._entity = entity
        self.views = {view: tuple(features) for view, features in views.items()}
        self._fields = {
            (view, feature): _HELPERS._mmh3(f"{view}:{feature}")  # noqa: SLF001  Feast's encoding has no public name
            for view, features in self.views.items()
            for feature in features
        }
        self._moments = {view: f"_ts:{view}".encode() for view in self.views}
        self.fields: tuple[bytes, ...] = (*self._fields.values(), *self._moments.values())
        """What to ask a symbol's hash for, in the order that `decode` expects."""

    def key(self, symbol: str) -> bytes:
        """Give the key of a symbol's hash."""
        entity = _TYPES.EntityKey_pb2.EntityKey(
            join_keys=[self._entity], entity_values=[_TYPES.Value_pb2.Value(string_val=symbol)]
        )
        found: bytes = _HELPERS._redis_key(  # noqa: SLF001  as above
            self._project, entity, entity_key_serialization_version=ENTITY_KEY_VERSION
        )
        return found

    def encode(
        self, view: str, values: Mapping[str, online_row.Number], moment: dt.datetime
    ) -> dict[bytes, bytes]:
        """Give the fields of one view; NaN is written as null."""
        stamp = timestamp_pb2.Timestamp()
        stamp.FromDatetime(moment)
        fields = {self._moments[view]: stamp.SerializeToString()}
        for feature in self.views[view]:
            fields[self._fields[view, feature]] = _value(values[feature]).SerializeToString()
        return fields

    def decode(self, stored: Iterable[bytes | None]) -> online_row.Row:
        """Read what was stored under `fields`."""
        stored = tuple(stored)
        values: dict[str, dict[str, online_row.Number]] = {view: {} for view in self.views}
        for (view, feature), content in zip(self._fields, stored, strict=False):
            if content:
                value = _number(_TYPES.Value_pb2.Value.FromString(content))
                if value is not None:
                    values[view][feature] = value
        moments = {}
        for view, content in zip(self._moments, stored[len(self._fields) :], strict=True):
            if content is not None:
                stamp = timestamp_pb2.Timestamp.FromString(content)
                moments[view] = stamp.seconds + stamp.nanos / 1e9
        return online_row.Row(values, moments)


def _value(value: online_row.Number) -> Any:
    if isinstance(value, np.ndarray):
        return _TYPES.Value_pb2.Value(
            double_list_val=_TYPES.Value_pb2.DoubleList(val=value.tolist())
        )
    if value != value:  # noqa: PLR0124  NaN: what is not known
        return _TYPES.Value_pb2.Value()
    return _TYPES.Value_pb2.Value(double_val=value)


def _number(value: Any) -> online_row.Number | None:
    kind = value.WhichOneof("val")
    if kind == "double_val":
        number: float = value.double_val
        return number
    if kind == "double_list_val":
        return np.array(value.double_list_val.val, dtype=np.float64)
    return None
