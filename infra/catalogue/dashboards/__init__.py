"""Grafana's dashboards, generated: what people look at who keep the platform running.

`files()` is what Grafana's side-car takes from ConfigMaps, and what a person imports by hand.
"""

from grafana_foundation_sdk.cog import encoder

from infra.catalogue.dashboards import experiment, features, models, panel, platform

DASHBOARDS: tuple[panel.Dashboard, ...] = (
    platform.DASHBOARD,
    experiment.DASHBOARD,
    models.DASHBOARD,
    features.DASHBOARD,
)


def files() -> dict[str, str]:
    """Give each dashboard's JSON by its file's name."""
    write = encoder.JSONEncoder(sort_keys=True, indent=2)
    return {f"{each.uid}.json": write.encode(each.build()) + "\n" for each in DASHBOARDS}
