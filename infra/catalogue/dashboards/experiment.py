"""The experiment: who gets the traffic, what is learnt of it, who moved the weights and when."""

from infra.catalogue.dashboards.panel import Choice, Dashboard, Panel, Row

_POLICY = 'policy=~"$policy"'

_WEIGHTS = Row(
    "Weights",
    (
        Panel(
            title="Share of the traffic",
            about="By arm, as the experiment has it.",
            unit="percentunit",
            queries={"{{arm}}": f"max by (arm) (bellwether_bandit_weight{{{_POLICY}}})"},
            width=16,
            largest=1,
            stacked=True,
        ),
        Panel(
            title="Arms without traffic by a veto",
            about="They failed or were slow beyond the guardrails.",
            unit="short",
            queries={"{{arm}}": f"max by (arm) (bellwether_bandit_vetoed{{{_POLICY}}})"},
            border=1,
        ),
        Panel(
            title="Mode",
            about="Active moves weights; shadow decides and writes none; frozen leaves them.",
            unit="none",
            queries={
                "{{policy}} {{mode}}": "max by (policy, mode) "
                f"(bellwether_bandit_mode{{{_POLICY}}}) == 1"
            },
            width=6,
            stat=True,
        ),
        Panel(
            title="Last epoch",
            about="When it ended. Without records an epoch becomes longer.",
            unit="dateTimeAsIso",
            queries={
                "{{policy}}": "max by (policy) "
                f"(bellwether_bandit_epoch_time_seconds{{{_POLICY}}}) * 1000"
            },
            width=6,
            stat=True,
        ),
        Panel(
            title="Led",
            about="Controllers that lead the policy: 1.",
            unit="none",
            queries={
                "{{policy}}": f"sum by (policy) (bellwether_bandit_leading{{{_POLICY}}})",
            },
            width=6,
            stat=True,
        ),
        Panel(
            title="Held",
            about="1: something keeps the policy from acting.",
            unit="none",
            queries={"{{policy}}": f"max by (policy) (bellwether_bandit_problem{{{_POLICY}}})"},
            width=6,
            stat=True,
            border=1,
        ),
    ),
)

_LEARNING = Row(
    "Learning",
    (
        Panel(
            title="Decisions by arm",
            about="Answered requests to the experiment, published to `decisions`.",
            unit="reqps",
            queries={
                "{{model}}": "sum by (model) "
                '(rate(bellwether_decisions_total{outcome="published"}[$__rate_interval]))'
            },
        ),
        Panel(
            title="Rewards by arm",
            about="That were learnt.",
            unit="short",
            queries={
                "{{arm}}": f"max by (arm) (delta(bellwether_bandit_arm_rewards{{{_POLICY}}}[1h]))"
            },
        ),
        Panel(
            title="Rewards by outcome",
            about="Within an hour. Late, unknown and double ones taught nothing.",
            unit="short",
            queries={
                "{{outcome}}": "max by (outcome) "
                f"(delta(bellwether_bandit_rewards{{{_POLICY}}}[1h])) > 0"
            },
        ),
        Panel(
            title="Does traffic split as the weights say?",
            about="p of the last epoch's split; below 0.0001 it does not.",
            unit="percentunit",
            queries={
                "{{policy}}": f"min by (policy) (bellwether_bandit_sample_ratio_p{{{_POLICY}}})"
            },
            largest=1,
        ),
        Panel(
            title="Open decisions",
            about="That are remembered, and rewards that wait for their decision.",
            unit="short",
            queries={
                "decisions": f"max by (policy) (bellwether_bandit_open_decisions{{{_POLICY}}})",
                "rewards": f"max by (policy) (bellwether_bandit_waiting_rewards{{{_POLICY}}})",
            },
        ),
        Panel(
            title="Behind",
            about="Records that the policy has not taken yet.",
            unit="short",
            queries={"{{topic}}": f"max by (topic) (bellwether_bandit_lag{{{_POLICY}}})"},
        ),
    ),
)

_WRITING = Row(
    "Writing",
    (
        Panel(
            title="PATCHes of weights",
            about="By outcome; a conflict is tried again.",
            unit="short",
            queries={
                "{{outcome}}": "sum by (outcome) "
                f"(increase(bellwether_bandit_weight_writes_total{{{_POLICY}}}[1h]))"
            },
        ),
        Panel(
            title="From an epoch's end to its PATCH",
            about="p95 until it is sent, and until it is answered.",
            unit="s",
            queries={
                "sent": "histogram_quantile(0.95, sum by (le) "
                f"(rate(bellwether_bandit_patch_sent_seconds_bucket{{{_POLICY}}}[1h])))",
                "answered": "histogram_quantile(0.95, sum by (le) "
                f"(rate(bellwether_bandit_patch_answered_seconds_bucket{{{_POLICY}}}[1h])))",
            },
        ),
        Panel(
            title="Weights that somebody else wrote",
            about="And epochs whose state, computed again, came out otherwise.",
            unit="short",
            queries={
                "foreign": "sum by (policy) "
                f"(increase(bellwether_bandit_foreign_changes_total{{{_POLICY}}}[1h]))",
                "different states": "sum by (policy) "
                f"(bellwether_bandit_different_states_total{{{_POLICY}}})",
            },
            border=1,
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="bellwether-experiment",
    title="Bellwether: experiment",
    about="Who gets the traffic, what is learnt of it, who moved the weights and when.",
    rows=(_WEIGHTS, _LEARNING, _WRITING),
    choices=(Choice(name="policy", label="policy", metric="bellwether_bandit_epoch"),),
)
