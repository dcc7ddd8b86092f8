"""Alerts on the features: how fresh, how whole, how usual they are."""

import datetime as dt

from infra.catalogue import models
from infra.catalogue.alerts import rule

STALE = dt.timedelta(days=5)
"""By the market's clock; the age beyond which the enrichment step counts a bar's view as stale."""

FALLBACK_SHARE = 0.1
"""Of requests that may go to the fallback."""

DRIFT = float(dict(models.GUARD.parameters)["drift_threshold"])


def group(pace: rule.Pace) -> rule.Group:
    """Give the features' rules."""
    return rule.Group(name="features", rules=(*_store(pace), *_quality(pace)))


def _store(pace: rule.Pace) -> tuple[rule.Alert, ...]:
    return (
        rule.Alert(
            name="FeaturesStale",
            expression="max by (symbol) (bellwether_feature_stream_newest_bar_age_seconds) > "
            f"{int(STALE.total_seconds())}",
            hold=pace.hold("10m"),
            severity="warning",
            summary="features of {{ $labels.symbol }} are {{ $value | humanizeDuration }} old",
            description="By the market's clock no bar came for so long; the guard sends requests "
            "for this symbol to the fallback.",
            runbook="features-stale",
        ),
        rule.Alert(
            name="FeatureStoreNotWritten",
            expression="bellwether_feature_stream_store_up == 0",
            hold=pace.hold("2m"),
            severity="critical",
            summary="the feature stream cannot write to the online store",
            description="Bars are read and folded, and wait; what is served grows stale.",
            runbook="feature-store-not-written",
        ),
        rule.Alert(
            name="FeatureReadsFail",
            expression="sum(increase(bellwether_feature_reads_away_total"
            f"[{pace.window('5m')}])) > 0",
            hold=pace.hold("1m"),
            severity="critical",
            summary="the online store does not answer the enrichment step",
            description="{{ $value | humanize }} requests went to the fallback for it.",
            runbook="feature-reads-fail",
        ),
    )


def _quality(pace: rule.Pace) -> tuple[rule.Alert, ...]:
    window = pace.window("15m")
    return (
        rule.Alert(
            name="DataQualityLow",
            expression='sum(rate(bellwether_guard_branches_total{branch="fallback"}'
            f"[{window}])) / sum(rate(bellwether_guard_branches_total[{window}])) > {FALLBACK_SHARE}",
            hold=pace.hold("5m"),
            severity="warning",
            summary="{{ $value | humanizePercentage }} of requests have data that cannot be trusted",
            description="The guard sent them to the fallback: quality below its threshold, or "
            "values missing.",
            runbook="data-quality-low",
        ),
        rule.Alert(
            name="DriftDetected",
            expression=f"max by (symbol) (bellwether_drift_score) > {DRIFT}",
            severity="warning",
            summary="features of {{ $labels.symbol }} drift: {{ $value }}",
            description="Their newest window is not distributed as the models' training data.",
            runbook="drift-detected",
        ),
        rule.Alert(
            name="DriftUnknown",
            expression='sum(increase(bellwether_guard_drift_unknown_total{reason="old"}'
            f"[{window}])) > 0",
            hold=pace.hold("5m"),
            severity="warning",
            summary="drift is answered as 0 because nobody knows it",
            description="{{ $value | humanize }} requests: Valkey gives the guard no fresh scores.",
            runbook="drift-unknown",
        ),
    )
