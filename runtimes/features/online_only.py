"""Feast's offline store of a process that reads online alone: none, which is imported at once."""

from typing import Literal

from runtimes.features.quick_feast import feast


class OnlineOnlyOfflineStoreConfig(feast.repo_config.FeastConfigBaseModel):  # type: ignore[misc]  # Feast is not typed where types are checked
    """Has no settings."""

    type: Literal["runtimes.features.online_only.OnlineOnlyOfflineStore"] = (
        "runtimes.features.online_only.OnlineOnlyOfflineStore"
    )


class OnlineOnlyOfflineStore(feast.infra.offline_stores.offline_store.OfflineStore):  # type: ignore[misc]  # as above
    """Gives no history: Feast's own `NotImplementedError` for each of its methods."""
