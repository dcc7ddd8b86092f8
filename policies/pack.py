"""The rules as a Pulumi policy pack.

The engine asks a policy for its level before it runs, and a level here depends on the stack: each rule
is two policies, `<rule>` (mandatory) and `<rule>-advice` (advisory, and what is excused), each of which
reports what is its own (docs/adr/0014).
"""

import collections.abc
import typing

import pulumi_policy
import pulumi_policy.deserialize
import pulumi_policy.policy
import pulumi_policy.proxy

from policies import judge, levels, objects, rule, rules, stacks

NAME = "bellwether"
ADVICE = "-advice"


def serve() -> None:
    """Answer the engine's questions until it ends this process."""
    hide_secrets()
    pulumi_policy.PolicyPack(
        NAME,
        policies(),
        description="What no environment of Bellwether's may do",
    )


def policies() -> list[pulumi_policy.Policy]:
    """Give every rule as Pulumi's policies."""
    always = [make(each, mandatory=True) for each in rules.ALL]
    return always + [make(each, mandatory=False) for each in rules.ALL if _varies(each)]


def _varies(given: rule.Rule) -> bool:
    """Whether a rule is advice somewhere, or can be excused."""
    level = levels.LEVELS[given.name]
    return bool(level.excused_in) or "advisory" in {level.dev, level.staging, level.production}


def make(given: rule.Rule, *, mandatory: bool) -> pulumi_policy.Policy:
    """Give one rule as the policy that reports its mandatory faults, or the others."""
    name = given.name if mandatory else f"{given.name}{ADVICE}"
    level = (
        pulumi_policy.EnforcementLevel.MANDATORY
        if mandatory
        else pulumi_policy.EnforcementLevel.ADVISORY
    )

    def mine(judgement: judge.Judgement) -> bool:
        return (judgement.severity == "mandatory") is mandatory

    def one(
        args: pulumi_policy.ResourceValidationArgs, report: pulumi_policy.ReportViolation
    ) -> None:
        for judgement in judge.one(given, resource(args, plain(args.props)), stack(args.urn)):
            if mine(judgement):
                report(judgement.sentence, None)

    def whole(
        args: pulumi_policy.StackValidationArgs, report: pulumi_policy.ReportViolation
    ) -> None:
        if not args.resources:
            return
        found = [resource(each, known(each.props)) for each in args.resources]
        for of, judgement in judge.whole(given, found, stack(found[0].urn)):
            if mine(judgement):
                report(judgement.sentence, of.urn)

    if given.whole is not None:
        return pulumi_policy.StackValidationPolicy(
            name, given.summary, whole, level, remediation_steps=given.remedy
        )
    return pulumi_policy.ResourceValidationPolicy(
        name, given.summary, one, level, remediation_steps=given.remedy
    )


def stack(urn: str) -> stacks.Stack:
    """Give the stack that a resource is of."""
    return stacks.read(stacks.of_urn(urn))


def resource(
    args: pulumi_policy.ResourceValidationArgs | pulumi_policy.PolicyResource,
    inputs: objects.Values,
) -> objects.Resource:
    """Give a resource as the rules see it."""
    return objects.Resource(
        type=args.resource_type,
        name=args.name,
        inputs=inputs,
        urn=args.urn,
        protect=args.opts.protect,
        ignored=tuple(args.opts.ignore_changes),
    )


def plain(value: typing.Any) -> typing.Any:
    """Give values without the SDK's proxies, whole numbers as integers.

    Raises:
        UnknownValueError: a value is not known before the update; the SDK makes advice of it.

    """
    if isinstance(value, collections.abc.Mapping):
        return {key: plain(value[key]) for key in value}
    if isinstance(value, collections.abc.Sequence) and not isinstance(value, str):
        return [plain(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def known(values: objects.Values) -> objects.Values:
    """Give the known among a resource's outputs: what a cluster will fill in is not judged."""
    found = {}
    for key in values:
        try:
            value = values[key]
        except pulumi_policy.proxy.UnknownValueError:
            continue
        found[key] = known(value) if isinstance(value, collections.abc.Mapping) else _listed(value)
    return found


def _listed(value: typing.Any) -> typing.Any:
    try:
        return plain(value)
    except pulumi_policy.proxy.UnknownValueError:
        return None


def hide_secrets() -> None:
    """Let no secret's value into a policy.

    The SDK takes away the mark of a secret, so that a policy sees its value, and cannot tell it from
    plain text: here the mark is seen first.
    """
    deserialize = pulumi_policy.deserialize.deserialize_properties

    def hidden(props: dict[str, typing.Any], proxy_secrets: bool = False) -> dict[str, typing.Any]:
        return deserialize(_hidden(props), proxy_secrets)

    pulumi_policy.policy.deserialize_properties = hidden  # type: ignore[attr-defined]  # where it is read


def _hidden(value: typing.Any) -> typing.Any:
    if isinstance(value, dict):
        mark = value.get(pulumi_policy.deserialize.SPECIAL_SIG_KEY)
        if mark == pulumi_policy.deserialize.SPECIAL_SECRET_SIG:
            return objects.HIDDEN
        return {key: _hidden(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_hidden(each) for each in value]
    return value
