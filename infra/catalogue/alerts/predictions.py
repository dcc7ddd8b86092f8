"""Alerts on what models answer."""

from infra.catalogue.alerts import platform, rule


def group(pace: rule.Pace) -> rule.Group:
    """Give the models' rules."""
    window = pace.window("5m")
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
