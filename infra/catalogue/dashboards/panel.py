"""What a dashboard of ours is made of, and how Grafana's own builders make it.

Each panel asks the data source that the dashboard's variable chooses, and says its unit.
"""

import collections.abc
import dataclasses
import itertools
import typing

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import prometheus as prometheus_builders
from grafana_foundation_sdk.builders import stat as stat_builders
from grafana_foundation_sdk.builders import timeseries as timeseries_builders
from grafana_foundation_sdk.models import common, dashboard

Unit = typing.Literal[
    "percentunit", "short", "s", "ms", "reqps", "bytes", "cps", "none", "dateTimeAsIso"
]
"""Grafana's name of a unit."""

SOURCE = "source"
"""The variable that says which Prometheus is asked."""

_DATA_SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid=f"${{{SOURCE}}}")
_WIDTH = 24
_HEIGHT = 8


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture."""

    title: str
    about: str
    """What a person should know who looks at it."""
    unit: Unit
    queries: collections.abc.Mapping[str, str]
    """Legend -> expression. A legend is Grafana's template, such as `{{model}}`."""
    width: int = 8
    """Of 24 columns."""
    stat: bool = False
    """A number in large print instead of a course."""
    largest: float | None = None
    border: float | None = None
    """From which value on it is red."""
    stacked: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A variable of a dashboard: the values that a label has."""

    name: str
    label: str
    metric: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard."""

    uid: str
    title: str
    about: str
    rows: tuple[Row, ...]
    choices: tuple[Choice, ...] = ()

    def build(self) -> dashboard.Dashboard:
        """Let Grafana's builders make it."""
        made = (
            dashboard_builders.Dashboard(self.title)
            .uid(self.uid)
            .description(self.about)
            .tags(["bellwether"])
            .readonly()
            .refresh("10s")
            .time("now-1h", "now")
            .timezone("utc")
            .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
            .with_variable(
                dashboard_builders.DatasourceVariable(SOURCE).label("Prometheus").type("prometheus")
            )
        )
        for choice in self.choices:
            made = made.with_variable(_variable(choice))
        number = itertools.count(1)
        for row in self.rows:
            made = made.with_row(dashboard_builders.Row(row.title).id(next(number)))
            for panel in row.panels:
                made = made.with_panel(_built(panel, next(number)))
        return made.build()


def _variable(choice: Choice) -> dashboard_builders.QueryVariable:
    return (
        dashboard_builders.QueryVariable(choice.name)
        .label(choice.name)
        .datasource(_DATA_SOURCE)
        .query(f"label_values({choice.metric}, {choice.label})")
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .include_all(include_all=True)
        .all_value(".*")
        .multi(multi=True)
    )


_Built = stat_builders.Panel | timeseries_builders.Panel


def _built(panel: Panel, number: int) -> _Built:
    made = _stat(panel) if panel.stat else _course(panel)
    made.id(number)
    for legend, expression in panel.queries.items():
        made.with_target(
            prometheus_builders.Dataquery()
            .datasource(_DATA_SOURCE)
            .expr(expression)
            .legend_format(legend)
            .ref_id(chr(ord("A") + list(panel.queries).index(legend)))
        )
    return made


def _stat(panel: Panel) -> stat_builders.Panel:
    made = (
        stat_builders.Panel()
        .title(panel.title)
        .description(panel.about)
        .datasource(_DATA_SOURCE)
        .unit(panel.unit)
        .span(panel.width)
        .height(_HEIGHT // 2)
        .graph_mode(common.BigValueGraphMode.AREA)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(panel))
    )
    return made.color_mode(
        common.BigValueColorMode.VALUE
        if panel.border is None
        else common.BigValueColorMode.BACKGROUND
    )


def _course(panel: Panel) -> timeseries_builders.Panel:
    made = (
        timeseries_builders.Panel()
        .title(panel.title)
        .description(panel.about)
        .datasource(_DATA_SOURCE)
        .unit(panel.unit)
        .min(0)
        .span(panel.width)
        .height(_HEIGHT)
        .fill_opacity(30 if panel.stacked else 8)
        .thresholds(_thresholds(panel))
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.TABLE)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs(["lastNotNull", "max"])
        )
    )
    if panel.largest is not None:
        made = made.max(panel.largest)
    if panel.stacked:
        made = made.stacking(
            common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("all")
        )
    if panel.border is not None:
        made = made.thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED)
        )
    return made


def _thresholds(panel: Panel) -> dashboard_builders.ThresholdsConfig:
    steps = [dashboard.Threshold(color="green", value=None)]
    if panel.border is not None:
        steps.append(dashboard.Threshold(color="red", value=panel.border))
    return (
        dashboard_builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)
    )
