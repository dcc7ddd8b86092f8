"""Alerts on the experiment: its split, its rewards, and the policy that moves its weights."""

from infra.catalogue.alerts import rule

LATE_SHARE = 0.05
"""Of rewards that may come after their time limit."""

FEWEST_DECISIONS = 100
"""In a day, from which on a reward is missed."""


def group(pace: rule.Pace) -> rule.Group:
    """Give the experiment's rules."""
    return rule.Group(name="experiment", rules=(*_rewards(pace), *_split(pace), *_policy(pace)))


def _rewards(pace: rule.Pace) -> tuple[rule.Alert, ...]:
    window, day = pace.window("1h"), pace.window("1d")
    late = f'delta(bellwether_bandit_rewards{{outcome="late"}}[{window}])'
    return (
        rule.Alert(
            name="RewardsLate",
            expression=f"max by (policy) ({late}) / max by (policy) "
            f"(sum by (policy, instance) (delta(bellwether_bandit_rewards[{window}]))) > {LATE_SHARE}",
            severity="warning",
            summary="{{ $value | humanizePercentage }} of {{ $labels.policy }}'s rewards are late",
            description="They came after `rewardTimeLimit` and taught nothing; what comes in time "
            "may be a biased part of all.",
            runbook="rewards-late",
        ),
        rule.Alert(
            name="RewardsMissing",
            expression="max by (policy) "
            f'(delta(bellwether_bandit_decisions{{outcome="taken"}}[{day}])) > {FEWEST_DECISIONS} '
            "unless on (policy) max by (policy) "
            f'(delta(bellwether_bandit_rewards{{outcome="learnt"}}[{day}])) > 0',
            hold=pace.hold("1h"),
            severity="warning",
            summary="{{ $labels.policy }} decides and learns nothing",
            description="{{ $value | humanize }} decisions were taken within a day, and not one "
            "reward was learnt: weights do not move for want of them.",
            runbook="rewards-missing",
        ),
    )


def _split(pace: rule.Pace) -> tuple[rule.Alert, ...]:
    window = pace.window("15m")
    return (
        rule.Alert(
            name="SampleRatioMismatch",
            expression="max by (policy) "
            f"(increase(bellwether_bandit_sample_ratio_alerts_total[{window}])) > 0",
            severity="critical",
            summary="traffic of {{ $labels.policy }} does not split as its weights say",
            description="Propensities are not what was logged (p < 0.0001): an arm fails, "
            "decisions are lost, callers choose their arm. What is learnt of it is biased.",
            runbook="sample-ratio-mismatch",
        ),
        rule.Alert(
            name="ArmVetoed",
            expression="max by (policy, arm) (bellwether_bandit_vetoed) == 1",
            hold=pace.hold("5m"),
            severity="warning",
            summary="{{ $labels.arm }} has lost its traffic",
            description="It failed or was slow beyond the guardrails of {{ $labels.policy }}.",
            runbook="arm-vetoed",
        ),
        rule.Alert(
            name="ForeignWeights",
            expression="max by (policy) "
            f"(increase(bellwether_bandit_foreign_changes_total[{window}])) > 0",
            severity="warning",
            summary="somebody else writes the weights of {{ $labels.policy }}",
            description="They are put right or respected, as `foreignChanges` says.",
            runbook="foreign-weights",
        ),
    )


def _policy(pace: rule.Pace) -> tuple[rule.Alert, ...]:
    return (
        rule.Alert(
            name="WeightsFrozen",
            expression='max by (policy) (bellwether_bandit_mode{mode="frozen"}) == 1',
            hold=pace.hold("10m"),
            severity="warning",
            summary="weights of {{ $labels.policy }} are frozen",
            description="The policy learns and leaves them alone until it is activated.",
            runbook="weights-frozen",
        ),
        rule.Alert(
            name="PolicyHeld",
            expression="max by (policy) (bellwether_bandit_problem) == 1",
            hold=pace.hold("5m"),
            severity="critical",
            summary="something keeps {{ $labels.policy }} from acting",
            description="Weights stay as they are; the policy's status names the reason.",
            runbook="policy-held",
        ),
        rule.Alert(
            name="PolicyWithoutLeader",
            expression="max by (policy) (bellwether_bandit_leading) == 0 "
            "or absent(bellwether_bandit_leading)",
            hold=pace.hold("2m"),
            severity="critical",
            summary="no controller leads {{ with $labels.policy }}{{ . }}{{ else }}any policy{{ end }}",
            description="Nobody learns from rewards or moves weights.",
            runbook="policy-without-leader",
        ),
        rule.Alert(
            name="StatesDiffer",
            expression="max by (policy) (bellwether_bandit_different_states_total) > 0",
            severity="warning",
            summary="a state of {{ $labels.policy }}, computed again, was not the one in the log",
            description="{{ $value }} epochs. The controller's code has changed what it learns, or "
            "records are not what they were.",
            runbook="states-differ",
        ),
    )
