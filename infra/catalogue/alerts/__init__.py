"""When somebody has to look: Prometheus' rules as data, each alert with its page in `docs/runbooks`.

`document(rules(target))` is what Prometheus reads as a file of rules, and what a `PrometheusRule`
has as its `spec`.
"""

import typing

from infra.catalogue.alerts import experiment, features, objectives, platform, predictions, rule

RUNBOOKS = "docs/runbooks"
"""Where the pages are: a folder of this repository, or the address at which it is shown."""


def rules(target: rule.Target, pace: float = 1.0) -> tuple[rule.Group, ...]:
    """Give every rule whose metrics there are at a target.

    Args:
        target: where the catalogue runs.
        pace: what all times are multiplied by: below 1 alerts fire and resolve sooner, for tests.

    """
    given = rule.Pace(pace)
    return tuple(
        _at(target, each.group(given))
        for each in (objectives, platform, features, predictions, experiment)
    )


def alerts(groups: tuple[rule.Group, ...]) -> tuple[rule.Alert, ...]:
    """Give the alerts alone."""
    return tuple(each for group in groups for each in group.rules if isinstance(each, rule.Alert))


def document(groups: tuple[rule.Group, ...], runbooks: str = RUNBOOKS) -> dict[str, typing.Any]:
    """Write rules as Prometheus reads them; `runbooks` is where their pages are."""
    return {"groups": [_group(each, runbooks) for each in groups]}


def _at(target: rule.Target, group: rule.Group) -> rule.Group:
    kept = tuple(
        each for each in group.rules if isinstance(each, rule.Record) or target in each.targets
    )
    return rule.Group(name=group.name, rules=kept, interval=group.interval)


def _group(group: rule.Group, runbooks: str) -> dict[str, typing.Any]:
    written: dict[str, typing.Any] = {"name": group.name}
    if group.interval is not None:
        written["interval"] = group.interval
    written["rules"] = [
        _alert(each, runbooks) if isinstance(each, rule.Alert) else _record(each)
        for each in group.rules
    ]
    return written


def _alert(alert: rule.Alert, runbooks: str) -> dict[str, typing.Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.hold,
        "labels": {"severity": alert.severity, **alert.labels},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{runbooks}/{alert.runbook}.md",
        },
    }


def _record(record: rule.Record) -> dict[str, typing.Any]:
    written: dict[str, typing.Any] = {"record": record.name, "expr": record.expression}
    if record.labels:
        written["labels"] = dict(record.labels)
    return written
