"""The Feast repository: made from the definitions, so that one declaration adds a feature everywhere.

One entity, one feature view for each view that is declared, each fed by a push source over
its file of the offline store, and one feature service for each use.
"""

import contextlib
import fcntl
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from runtimes.features import artifact, definitions, rows
from runtimes.features.quick_feast import feast

PROJECT = "bellwether"
OFFLINE_STORE = "runtimes.features.offline.AsOfOfflineStore"
ONLINE_ONLY = "runtimes.features.online_only.OnlineOnlyOfflineStore"
"""The offline store of a process that asks for no history: it starts half a second sooner."""

_DIGEST = "definitions"
"""The tag of a feature service that says which definitions it was made from."""


class RepositoryError(Exception):
    """The feature store's registry is missing or of another make; the message says what to do."""


def configuration(
    registry: pathlib.Path, valkey: str, offline_store: str = OFFLINE_STORE
) -> feast.RepoConfig:
    """Give Feast's configuration: Valkey online (`host:port`), files offline, a file as registry."""
    return feast.RepoConfig(
        project=PROJECT,
        provider="local",
        # 0: read once. Who serves reads it at load, and what is applied later has a new artifact.
        registry={"path": str(registry), "cache_ttl_seconds": 0},
        online_store={"type": "redis", "connection_string": valkey, "skip_dedup": True},
        offline_store={"type": offline_store},
        entity_key_serialization_version=rows.ENTITY_KEY_VERSION,
    )


def objects(wanted: definitions.Definitions, folder: pathlib.Path) -> list[Any]:
    """Give everything that Feast is to know of the definitions."""
    entity = feast.Entity(
        name=artifact.ENTITY,
        join_keys=[artifact.ENTITY],
        value_type=feast.ValueType.STRING,
        description="what is traded",
    )
    views = {view.name: _view(entity, view, folder) for view in wanted.views}
    services = [
        feast.FeatureService(
            name=service.name,
            features=[
                views[view][[name for of, name in service.features if of == view]]
                for view in dict.fromkeys(of for of, _ in service.features)
            ],
            tags={_DIGEST: wanted.digest},
        )
        for service in wanted.services
    ]
    return [entity, *views.values(), *services]


def apply(
    wanted: definitions.Definitions,
    folder: pathlib.Path,
    registry: pathlib.Path,
    valkey: str,
) -> feast.FeatureStore:
    """Bring the registry to what is declared, if it is not there yet; give the store.

    Cheap where nothing changed; one process at a time; whoever reads finds the old or the new one.
    """
    signature = json.dumps([wanted.digest, str(folder)])
    stamp = registry.with_name(f"{registry.name}.applied")
    with _alone(registry):
        if not registry.exists() or not stamp.exists() or stamp.read_text() != signature:
            beside = registry.with_name(f".{registry.name}.new")
            beside.unlink(missing_ok=True)
            feast.FeatureStore(config=configuration(beside, valkey)).apply(objects(wanted, folder))
            beside.replace(registry)
            stamp.write_text(signature)
    return feast.FeatureStore(config=configuration(registry, valkey))


def opened(registry: pathlib.Path, valkey: str) -> feast.FeatureStore:
    """Open the store as it was applied, to read online; raise RepositoryError."""
    if not registry.exists():
        raise RepositoryError(
            f"{registry} does not exist: the feature stream applies it when it starts; "
            "`bellwether status` says whether it runs"
        )
    return feast.FeatureStore(config=configuration(registry, valkey, ONLINE_ONLY))


def layout(store: feast.FeatureStore, service: str, digest: str) -> rows.Layout:
    """Give where a service's features lie online; raise RepositoryError if of other definitions."""
    found = store.get_feature_service(service)
    if found.tags.get(_DIGEST) != digest:
        raise RepositoryError(
            f"the feature service {service!r} in {store.config.registry.path} was applied from "
            "other definitions than this code has; the feature stream applies the new ones when "
            "it is started with them (`make up`)"
        )
    return rows.Layout(
        store.project,
        artifact.ENTITY,
        {
            projection.name: [field.name for field in projection.features]
            for projection in found.feature_view_projections
        },
    )


def _view(entity: feast.Entity, view: definitions.View, folder: pathlib.Path) -> feast.FeatureView:
    files = feast.FileSource(
        name=f"{view.name}_files",
        path=str(artifact.offline_file(folder, view.name)),
        timestamp_field=artifact.EVENT_TIME,
        created_timestamp_column=artifact.CREATED_TIME,
    )
    return feast.FeatureView(
        name=view.name,
        description=view.description,
        entities=[entity],
        ttl=view.max_age,
        schema=[
            feast.Field(name=artifact.ENTITY, dtype=feast.types.String),
            *(_field(feature) for feature in view.features),
        ],
        source=feast.PushSource(name=f"{view.name}_push", batch_source=files),
        tags={"source": view.source},
    )


def _field(feature: definitions.Feature) -> feast.Field:
    return feast.Field(
        name=feature.name,
        dtype=feast.types.Float64
        if feature.length == 1
        else feast.types.Array(feast.types.Float64),
        description=f"{feature.description} [{feature.unit}]",
    )


@contextlib.contextmanager
def _alone(registry: pathlib.Path) -> Iterator[None]:
    registry.parent.mkdir(parents=True, exist_ok=True)
    with registry.with_name(f"{registry.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
