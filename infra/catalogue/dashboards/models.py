"""The models and the pipeline's steps: what they answer, how fast, and with what explanation."""

from infra.catalogue.dashboards.panel import Choice, Dashboard, Panel, Row

_MODEL = 'model=~"$model"'
_RATE = "[$__rate_interval]"


def _quantile(share: float, metric: str, matchers: str = "", by: str = "model, le") -> str:
    return (
        f"histogram_quantile({share}, sum by ({by}) (rate({metric}_bucket{{{matchers}}}{_RATE})))"
    )


_FORECASTS = Row(
    "Forecasts",
    (
        Panel(
            title="Requests",
            about="By model.",
            unit="reqps",
            queries={
                "{{model}}": f"sum by (model) (rate(bellwether_predictions_total{{{_MODEL}}}{_RATE}))"
            },
        ),
        Panel(
            title="Requests that failed",
            about="Invalid: the caller's mistake. Error: the model's.",
            unit="reqps",
            queries={
                "{{model}} {{outcome}} {{reason}}": "sum by (model, outcome, reason) "
                f'(rate(bellwether_predictions_total{{{_MODEL},outcome!="ok"}}{_RATE})) > 0'
            },
        ),
        Panel(
            title="Time inside the runtime",
            about="p95: checks, forecast, response.",
            unit="s",
            queries={"{{model}}": _quantile(0.95, "bellwether_prediction_seconds", _MODEL)},
        ),
        Panel(
            title="Forecast volatility",
            about="Median of what is forecast, annualised.",
            unit="percentunit",
            queries={"{{model}}": _quantile(0.5, "bellwether_forecast_volatility", _MODEL)},
        ),
        Panel(
            title="High forecasts",
            about="p95 of what is forecast, annualised.",
            unit="percentunit",
            queries={"{{model}}": _quantile(0.95, "bellwether_forecast_volatility", _MODEL)},
        ),
        Panel(
            title="Forecasts",
            about="Rows: a request may ask for many.",
            unit="cps",
            queries={
                "{{model}}": "sum by (model) "
                f"(rate(bellwether_prediction_rows_total{{{_MODEL}}}{_RATE}))"
            },
        ),
    ),
)

_STEPS = Row(
    "Steps",
    (
        Panel(
            title="Requests that failed",
            about="By step.",
            unit="reqps",
            queries={
                "{{model}} {{outcome}}": "sum by (model, outcome) "
                f'(rate(bellwether_step_requests_total{{outcome!="ok"}}{_RATE})) > 0'
            },
        ),
        Panel(
            title="Time inside a step",
            about="p95.",
            unit="s",
            queries={"{{model}}": _quantile(0.95, "bellwether_step_seconds")},
        ),
        Panel(
            title="Regimes",
            about="Branches that the router chose.",
            unit="reqps",
            queries={
                "{{branch}}": f"sum by (branch) (rate(bellwether_router_choices_total{_RATE}))"
            },
            stacked=True,
        ),
        Panel(
            title="Confidence",
            about="Median of decisions.",
            unit="percentunit",
            queries={
                "median": _quantile(0.5, "bellwether_decision_confidence", by="le"),
                "p10": _quantile(0.1, "bellwether_decision_confidence", by="le"),
            },
            largest=1,
        ),
        Panel(
            title="Position",
            about="Median of decisions, as a share of wealth.",
            unit="percentunit",
            queries={"median": _quantile(0.5, "bellwether_decision_position", by="le")},
        ),
        Panel(
            title="Rules that fired",
            about="Of the decision.",
            unit="reqps",
            queries={"{{rule}}": f"sum by (rule) (rate(bellwether_decision_rules_total{_RATE}))"},
        ),
    ),
)

_EXPLANATIONS = Row(
    "Explanations",
    (
        Panel(
            title="With the decisions",
            about="Given, missing, unreadable, of another model.",
            unit="reqps",
            queries={
                "{{outcome}}": "sum by (outcome) "
                f"(rate(bellwether_decision_explanations_total{_RATE}))"
            },
            stacked=True,
        ),
        Panel(
            title="By method",
            about="In the pipeline and on demand.",
            unit="reqps",
            queries={
                "{{method}} {{outcome}}": "sum by (method, outcome) "
                f"(rate(bellwether_explanations_total{_RATE}))"
            },
        ),
        Panel(
            title="Time to explain",
            about="p95, by method.",
            unit="s",
            queries={
                "{{method}}": _quantile(0.95, "bellwether_explanation_seconds", by="method, le")
            },
        ),
    ),
)

_OF_22_DAYS = f'{{{_MODEL},days="22"}}'

_TRUTH = Row(
    "What came true, by the monitor",
    (
        Panel(
            title="Error of forecasts",
            about="Mean |ln(forecast / realised)| over the last 22 market days.",
            unit="short",
            queries={
                "{{model}} {{regime}}": "max by (model, regime) "
                f"(bellwether_monitor_log_error{_OF_22_DAYS})"
            },
        ),
        Panel(
            title="Intervals that held",
            about="Share of realised volatilities within them, over the last 22 market days.",
            unit="percentunit",
            queries={
                "{{model}} {{regime}}": "max by (model, regime) "
                f"(bellwether_monitor_coverage{_OF_22_DAYS})"
            },
            largest=1,
        ),
        Panel(
            title="Directions that came true",
            about="Share, over the last 22 market days; nobody does better than the base rate.",
            unit="percentunit",
            queries={
                "{{model}} {{regime}}": "max by (model, regime) "
                f"(bellwether_monitor_hit_rate{_OF_22_DAYS})"
            },
            largest=1,
        ),
        Panel(
            title="Realised utility",
            about="Share of wealth a year, over the last 22 market days; 4 % is a perfect forecast.",
            unit="percentunit",
            queries={
                "{{model}} {{regime}}": "max by (model, regime) "
                f"(bellwether_monitor_utility{_OF_22_DAYS})"
            },
        ),
        Panel(
            title="Predictions",
            about="By model and regime.",
            unit="reqps",
            queries={
                "{{model}} {{regime}}": "sum by (model, regime) "
                f"(rate(bellwether_monitor_predictions_total{{{_MODEL}}}{_RATE}))"
            },
        ),
        Panel(
            title="Changes that ADWIN found",
            about="In a model's error or an arm's reward.",
            unit="short",
            queries={
                "{{stream}} of {{name}}": "sum by (stream, name) (bellwether_monitor_changes_total)"
            },
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="bellwether-models",
    title="Bellwether: models",
    about="What models and steps answer, how fast, and with what explanation.",
    rows=(_FORECASTS, _TRUTH, _STEPS, _EXPLANATIONS),
    choices=(Choice(name="model", label="model", metric="bellwether_predictions_total"),),
)
