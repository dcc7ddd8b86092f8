"""Alerts on what models answer."""

from infra.catalogue.alerts import platform, rule


def group(pace: rule.Pace) -> rule.Group:
    """Give the models' rules."""
    window, lately = pace.window("5m"), pace.window("15m")
    changes = "bellwether_monitor_changes_total"
    return rule.Group(
        name="predictions",
        rules=(
            rule.Alert(
                name="PredictionErrors",
                expression=platform.share(
                    "bellwether_predictions_total", 'outcome="error"', "model", window
                ),
                hold=pace.hold("2m"),
                severity="critical",
                summary="{{ $value | humanizePercentage }} of {{ $labels.model }}'s forecasts fail",
                description="The model itself raised an error; what callers did wrong does not "
                "count.",
                runbook="prediction-errors",
            ),
            rule.Alert(
                name="ErrorsChanged",
                # A stream's series begins with its first change.
                expression=f"sum by (stream, name) (increase({changes}[{lately}])) > 0 or "
                f"sum by (stream, name) ({changes} unless {changes} offset {lately}) > 0",
                severity="warning",
                summary="the {{ $labels.stream }} of {{ $labels.name }} is another than it was",
                description="ADWIN found a change in its mean, whichever way; since then forecasts "
                "are better or worse than before.",
                runbook="errors-changed",
            ),
            rule.Alert(
                name="ExplanationsMissing",
                expression=platform.share(
                    "bellwether_decision_explanations_total", 'outcome!="given"', "model", window
                ),
                hold=pace.hold("5m"),
                severity="warning",
                summary="{{ $value | humanizePercentage }} of decisions come without explanation",
                description="The explainer did not answer, not in time, or of another model. "
                "Forecasts are not touched; what an auditor needs is missing.",
                runbook="explanations-missing",
            ),
        ),
    )
