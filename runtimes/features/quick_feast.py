"""Feast, imported without its run-time type checks: `from runtimes.features.quick_feast import feast`.

Feast checks the arguments of its constructors with typeguard, which parses Feast's source anew in
every process: 5.3 s of CPU for the import, and 1.2 s without (2 cores).
Its objects are made in one place, `repository`, of declarations that are checked.
The offline store over files is imported by `offline` alone: it brings dask, 0.45 s of CPU.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import typeguard


@contextlib.contextmanager
def _unchecked() -> Iterator[None]:
    checked = typeguard.typechecked
    typeguard.typechecked = _as_it_is
    try:
        yield
    finally:
        typeguard.typechecked = checked


def _as_it_is(target: Any) -> Any:
    return target


with _unchecked():
    import feast
    import feast.infra.offline_stores.offline_store
    import feast.infra.online_stores.helpers
    import feast.infra.online_stores.redis

__all__ = ["feast"]
