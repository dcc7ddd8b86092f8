"""The features: how fresh, how whole, how usual they are."""

from infra.catalogue import alerts
from infra.catalogue.alerts import features
from infra.catalogue.dashboards.panel import Choice, Dashboard, Panel, Row

_SYMBOL = 'symbol=~"$symbol"'
_RATE = "[$__rate_interval]"

_FRESHNESS = Row(
    "Freshness",
    (
        Panel(
            title="Age of the newest bar",
            about="By the market's clock (docs/adr/0010).",
            unit="s",
            queries={
                "{{symbol}}": "max by (symbol) "
                f"(bellwether_feature_stream_newest_bar_age_seconds{{{_SYMBOL}}})"
            },
            border=features.STALE.total_seconds(),
        ),
        Panel(
            title="Bars",
            about="Folded into the features.",
            unit="cps",
            queries={
                "{{symbol}}": "sum by (symbol) "
                f"(rate(bellwether_feature_stream_bars_total{{{_SYMBOL}}}{_RATE}))"
            },
        ),
        Panel(
            title="Headlines and posts",
            about="Folded into the features.",
            unit="cps",
            queries={
                "{{kind}}": f"sum by (kind) (rate(bellwether_feature_stream_texts_total{_RATE}))"
            },
        ),
        Panel(
            title="From a batch in hand to the store",
            about="Median and p99.",
            unit="s",
            queries={
                name: f"histogram_quantile({share}, sum by (le) "
                f"(rate(bellwether_feature_stream_batch_seconds_bucket{_RATE})))"
                for name, share in (("median", 0.5), ("p99", 0.99))
            },
        ),
        Panel(
            title="Not folded yet",
            about="Records by topic.",
            unit="short",
            queries={"{{topic}}": "max by (topic) (bellwether_feature_stream_lag)"},
        ),
        Panel(
            title="Dead letters",
            about="Records that could not be used, within an hour, by reason.",
            unit="short",
            queries={
                "{{topic}}: {{reason}}": "sum by (topic, reason) "
                "(increase(bellwether_feature_stream_dead_letters_total[1h]))"
            },
        ),
    ),
)

_QUALITY = Row(
    "Quality",
    (
        Panel(
            title="Quality of enriched requests",
            about="p10 by symbol; below 0.8 the fallback answers.",
            unit="percentunit",
            queries={
                "{{symbol}}": "histogram_quantile(0.1, sum by (symbol, le) "
                f"(rate(bellwether_feature_quality_bucket{{{_SYMBOL}}}{_RATE})))"
            },
            largest=1,
        ),
        Panel(
            title="Branches of the guard",
            about="Where requests went, and why.",
            unit="reqps",
            queries={
                "{{branch}}: {{reason}}": "sum by (branch, reason) "
                f"(rate(bellwether_guard_branches_total{_RATE}))"
            },
            stacked=True,
        ),
        Panel(
            title="Anomaly",
            about="Median and p95; 0.5 is the border of what is usual.",
            unit="percentunit",
            queries={
                name: f"histogram_quantile({share}, sum by (le) "
                f"(rate(bellwether_guard_anomaly_score_bucket{_RATE})))"
                for name, share in (("median", 0.5), ("p95", 0.95))
            },
            largest=1,
            border=0.5,
        ),
        Panel(
            title="Reads of the online store",
            about="Median and p99.",
            unit="s",
            queries={
                name: f"histogram_quantile({share}, sum by (le) "
                f"(rate(bellwether_feature_read_seconds_bucket{_RATE})))"
                for name, share in (("median", 0.5), ("p99", 0.99))
            },
        ),
        Panel(
            title="Reads without an answer",
            about="Such requests went to the fallback.",
            unit="reqps",
            queries={"away": f"sum(rate(bellwether_feature_reads_away_total{_RATE}))"},
        ),
        Panel(
            title="Store written",
            about="1: the feature stream's last write succeeded.",
            unit="none",
            queries={"written": "min(bellwether_feature_stream_store_up)"},
            largest=1,
        ),
    ),
)

_DRIFT = Row(
    "Drift",
    (
        Panel(
            title="Drift",
            about="Above its border the newest window is not distributed as the training data.",
            unit="percentunit",
            queries={
                "{{symbol}}": f"max by (symbol) (bellwether_drift_score{{{_SYMBOL}}})",
            },
            largest=1,
            border=features.DRIFT,
        ),
        Panel(
            title="Features that drift most",
            about="Kolmogorov-Smirnov's statistic over its critical value; above 1 it drifted.",
            unit="short",
            queries={
                "{{symbol}} {{feature}}": f"topk(8, bellwether_drift_ratio{{{_SYMBOL}}})",
            },
            border=1,
        ),
        Panel(
            title="Drift unknown",
            about="Requests that were answered with drift 0 because nobody knew it.",
            unit="reqps",
            queries={
                "{{reason}}": f"sum by (reason) (rate(bellwether_guard_drift_unknown_total{_RATE}))"
            },
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="bellwether-features",
    title="Bellwether: features",
    about=f"How fresh, how whole, how usual features are. Alerts: {alerts.RUNBOOKS}.",
    rows=(_FRESHNESS, _QUALITY, _DRIFT),
    choices=(
        Choice(
            name="symbol", label="symbol", metric="bellwether_feature_stream_newest_bar_age_seconds"
        ),
    ),
)
