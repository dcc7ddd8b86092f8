"""`bellwether alerts`: what Prometheus finds amiss now, and where it is said what to do."""

import datetime as dt
import typing

import httpx
import pydantic
import rich.box
import rich.markup
import rich.table

from bellwether import environment

_SECONDS = 5.0
_COLOURS = {"critical": "red", "warning": "yellow"}


class AlertsError(Exception):
    """Prometheus does not say what it finds; the message says how to mend it."""


class Alert(pydantic.BaseModel):
    """One alert that fires, or that will if it goes on."""

    name: str
    state: typing.Literal["firing", "pending"]
    severity: str
    labels: dict[str, str]
    """What it is about: its labels beside name and severity."""
    summary: str
    description: str
    runbook: str
    since: dt.datetime
    value: float


class Alerts(pydantic.BaseModel):
    """What fires and what is about to, the gravest first."""

    stack: str
    alerts: list[Alert]

    @property
    def firing(self) -> list[Alert]:
        """Those that fire."""
        return [each for each in self.alerts if each.state == "firing"]


def read(stack: environment.Stack) -> Alerts:
    """Ask the environment's Prometheus.

    Raises:
        AlertsError: it does not answer.
        settings.SettingsError: the stack's configuration is wrong, or it is a cluster's.

    """
    url = f"http://127.0.0.1:{stack.settings().ports.prometheus}/api/v1/alerts"
    try:
        answer = httpx.get(url, timeout=_SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        raise AlertsError(
            f"Prometheus does not answer at {url} ({error}): "
            "`uv run bellwether status` says what runs, `make up` brings the environment up"
        ) from error
    found = [_alert(each) for each in answer.json()["data"]["alerts"]]
    found.sort(key=lambda each: (each.state, each.severity, each.name, sorted(each.labels.items())))
    return Alerts(stack=stack.name, alerts=found)


def table(found: Alerts) -> rich.table.Table:
    """Draw it for a person."""
    shown = rich.table.Table(
        title=f"alerts of `{found.stack}`", title_justify="left", box=rich.box.SIMPLE_HEAD
    )
    for heading in ("alert", "state", "since", "what", "what to do"):
        shown.add_column(heading, overflow="fold")
    for each in found.alerts:
        shown.add_row(
            f"[{_COLOURS.get(each.severity, 'white')}]{each.name}",
            each.state,
            each.since.astimezone().strftime("%d %b %H:%M:%S"),
            rich.markup.escape(each.summary),
            each.runbook,
        )
    return shown


def _alert(given: dict[str, typing.Any]) -> Alert:
    labels = dict(given["labels"])
    notes = given["annotations"]
    return Alert(
        name=labels.pop("alertname"),
        severity=labels.pop("severity", "warning"),
        labels=labels,
        state=given["state"],
        summary=notes.get("summary", ""),
        description=notes.get("description", ""),
        runbook=notes.get("runbook_url", ""),
        since=given["activeAt"],
        value=float(given["value"]),
    )
