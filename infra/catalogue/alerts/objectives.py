"""What callers are promised, and how fast the promise may be used up.

An objective leaves an error budget, the share of requests that may be bad over its period.
Burn rates after the Site Reliability Workbook (Beyer et al. 2018), chapter 5, "Multiwindow,
multi-burn-rate alerts": the long window says that enough of the budget went, the short one that it
still goes.
"""

import dataclasses

from infra.catalogue import pipelines
from infra.catalogue.alerts import rule


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One promise."""

    name: str
    title: str
    """As the alerts' names begin."""
    what: str
    """What is bad, for a sentence that begins with a share of requests."""
    share: float
    """Of good requests."""
    bad: str
    """Bad requests a second; `[range]` stands for the window."""
    total: str
    """All requests a second."""
    fewest: int = 20
    """In so few requests of the long window, a share says nothing."""

    @property
    def budget(self) -> float:
        """The share of requests that may be bad."""
        return round(1 - self.share, 9)


LATENCY_MS = 250
"""Within which a request is in time; the bandit's guardrail takes an arm away at the same p99."""

_GATEWAY = 'envoy_http_conn_manager_prefix!="admin"'
_PIPELINE = f'pipeline="{pipelines.PREDICTION.metadata.name}"'
_SERVER_ERRORS = 'code=~"5..|Unknown|Internal|Unavailable|DeadlineExceeded"'
"""HTTP's, and gRPC's as Go spells them; what a caller did wrong is not counted."""


def _slow(histogram: str, matchers: str, border: str) -> tuple[str, str]:
    total = f"sum(rate({histogram}_count{{{matchers}}}[range]))"
    quick = f'sum(rate({histogram}_bucket{{{matchers},le="{border}"}}[range]))'
    return f"{total} - {quick}", total


_gateway_slow, _gateway_timed = _slow("envoy_http_downstream_rq_time", _GATEWAY, str(LATENCY_MS))
_pipeline_slow, _pipeline_timed = _slow(
    "seldon_pipeline_infer_api_seconds", _PIPELINE, str(LATENCY_MS / 1000)
)

OBJECTIVES = (
    Objective(
        name="gateway-availability",
        title="GatewayAvailability",
        what="end at the gateway with a server error",
        share=0.999,
        bad=f'sum(rate(envoy_http_downstream_rq_xx{{{_GATEWAY},envoy_response_code_class="5"}}[range]))',
        total=f"sum(rate(envoy_http_downstream_rq_xx{{{_GATEWAY}}}[range]))",
    ),
    Objective(
        name="gateway-latency",
        title="GatewayLatency",
        what=f"take the gateway longer than {LATENCY_MS} ms",
        share=0.99,
        bad=_gateway_slow,
        total=_gateway_timed,
    ),
    Objective(
        name="pipeline-availability",
        title="PipelineAvailability",
        what="fail inside the prediction pipeline",
        share=0.995,
        bad=f"(sum(rate(seldon_pipeline_infer_total{{{_PIPELINE},{_SERVER_ERRORS}}}[range])) or vector(0))",
        total=f"sum(rate(seldon_pipeline_infer_total{{{_PIPELINE}}}[range]))",
    ),
    Objective(
        name="pipeline-latency",
        title="PipelineLatency",
        what=f"take the prediction pipeline longer than {LATENCY_MS} ms",
        share=0.99,
        bad=_pipeline_slow,
        total=_pipeline_timed,
    ),
)
"""All of them, over 30 days."""


@dataclasses.dataclass(frozen=True, slots=True)
class Burn:
    """How fast a budget goes: `rate` 1 uses it up in exactly its period."""

    rate: float
    long: str
    short: str


FAST = (Burn(14.4, "1h", "5m"), Burn(6, "6h", "30m"))
"""2 % of the budget in an hour, 5 % in six."""
SLOW = (Burn(3, "1d", "2h"), Burn(1, "3d", "6h"))
"""10 % of the budget in one day, or in three."""

WINDOWS = tuple(
    dict.fromkeys(window for burn in (*FAST, *SLOW) for window in (burn.short, burn.long))
)


def group(pace: rule.Pace) -> rule.Group:
    """Give the shares of bad requests as recordings, and the alerts on them."""
    rules: list[rule.Alert | rule.Record] = []
    for objective in OBJECTIVES:
        rules += _recordings(objective, pace)
    for objective in OBJECTIVES:
        rules += _alerts(objective, pace)
    return rule.Group(name="objectives", rules=tuple(rules), interval=pace.window("30s"))


def _recordings(objective: Objective, pace: rule.Pace) -> list[rule.Record]:
    labels = {"objective": objective.name}
    found = []
    for window in WINDOWS:
        real = pace.window(window)
        bad, total = (each.replace("range", real) for each in (objective.bad, objective.total))
        share, count = f"objective:bad:share{window}", f"objective:requests:count{window}"
        seconds = int(rule.duration(real).total_seconds())
        found += [
            rule.Record(name=share, expression=f"({bad}) / {total}", labels=labels),
            rule.Record(name=count, expression=f"{total} * {seconds}", labels=labels),
        ]
    return found


def _alerts(objective: Objective, pace: rule.Pace) -> list[rule.Alert]:
    del pace  # the recordings have it in them
    made = []
    for suffix, burns, severity, meant in (
        ("BurnsFast", FAST, "critical", "within hours to two days"),
        ("BurnsSlowly", SLOW, "warning", "before its 30 days are over"),
    ):
        made.append(
            rule.Alert(
                name=f"{objective.title}{suffix}",
                expression=" or ".join(_burning(objective, burn) for burn in burns),
                severity="critical" if severity == "critical" else "warning",
                summary=f"{{{{ $value | humanizePercentage }}}} of requests {objective.what}",
                description=(
                    f"The objective allows {objective.budget:.2%}. "
                    f"At this rate the error budget is used up {meant}."
                ),
                runbook=objective.name,
            )
        )
    return made


def _burning(objective: Objective, burn: Burn) -> str:
    named = f'{{objective="{objective.name}"}}'
    border = f"{burn.rate * objective.budget:.6g}"
    return (
        f"(objective:bad:share{burn.long}{named} > {border}"
        f" and objective:bad:share{burn.short}{named} > {border}"
        f" and objective:requests:count{burn.long}{named} >= {objective.fewest})"
    )
