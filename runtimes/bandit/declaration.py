"""`BanditPolicy`: who owns an experiment's weights, and by what rule they move.

snake_case inside, camelCase in manifests; unknown keys are refused.
`parse` reads a manifest and says everything that is wrong with it; `manifest` writes one;
`json_schema` is what the custom resource definition says.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic.alias_generators import to_camel

from runtimes.bandit import notation, structural
from runtimes.bandit.notation import Part, PositiveDuration, Share

GROUP = "bandits.bellwether.dev"
VERSION = "v1alpha1"
API_VERSION: Literal["bandits.bellwether.dev/v1alpha1"] = "bandits.bellwether.dev/v1alpha1"
KIND: Literal["BanditPolicy"] = "BanditPolicy"
PLURAL = "banditpolicies"

Text = Annotated[str, pydantic.Strict(), pydantic.Field(min_length=1)]
Positive = Annotated[float, pydantic.Field(gt=0)]
Count = Annotated[int, pydantic.Strict(), pydantic.Field(ge=0, le=2**31 - 1)]
Seed = Annotated[int, pydantic.Strict(), pydantic.Field(ge=0, le=2**53 - 1)]
"""What a JSON number holds exactly: a larger bound, and an API server refuses every policy."""


def _explained_rate(rate: Any) -> Any:
    if isinstance(rate, int | float) and not isinstance(rate, bool) and rate > 1:
        raise ValueError(
            f"the floors of all arms add up to {rate:g}, more than all the traffic; "
            "it is the share of the traffic that is spent on exploring, over all arms: 0 to 1"
        )
    return rate


ExplorationRate = Annotated[Share, pydantic.BeforeValidator(_explained_rate)]
"""Share of the traffic that is spent on exploring, over all arms: each has a K-th as its floor."""


class EpsilonGreedy(Part):
    """All traffic beyond the floor goes to the arm whose mean is the largest."""

    name: Literal["epsilon-greedy"] = "epsilon-greedy"


class Ucb1(Part):
    """All traffic beyond the floor goes to the arm whose upper confidence bound is the largest.

    The bound is mean + `alpha` · scale · sqrt(2 ln n / n_a) (Auer, Cesa-Bianchi, Fischer 2002);
    scale is 1 for binary rewards, twice a reward's standard deviation for continuous ones.
    """

    name: Literal["ucb1"] = "ucb1"
    alpha: Positive = 1.0


class Thompson(Part):
    """Traffic beyond the floor is split by P(best)^`power`, P(best) from the posterior.

    With `power` 1 it is Thompson sampling's own split.
    """

    name: Literal["thompson"] = "thompson"
    power: Annotated[float, pydantic.Field(gt=0, le=16)] = 1.0


class _Linear(Part):
    """What contextual algorithms have in common."""

    features: Annotated[tuple[Text, ...], pydantic.Field(min_length=1, max_length=64)]
    """The context's numbers, by name, in the order in which they are learnt."""
    ridge: Positive = 1.0
    """Precision of the prior of each coefficient, in rewards' variances."""
    intercept: bool = True
    """Whether each arm has a mean of its own beside what the context explains."""
    noise_sd: Positive | None = None
    """Standard deviation of a reward around its regression; estimated where it is left out."""

    @pydantic.model_validator(mode="after")
    def _distinct(self) -> Self:
        if twice := sorted({name for name in self.features if self.features.count(name) > 1}):
            raise notation.wrong("features", f"a feature is named once; twice: {', '.join(twice)}")
        return self


class LinUcb(_Linear):
    """Disjoint LinUCB (Li, Chu, Langford, Schapire 2010): an arm's regression plus its bound."""

    name: Literal["linucb"] = "linucb"
    alpha: Positive = 1.0


class LinearThompson(_Linear):
    """Thompson sampling with an arm's Bayesian regression (Agrawal and Goyal 2013)."""

    name: Literal["linear-thompson"] = "linear-thompson"
    scale: Positive = 1.0
    """Factor on the posterior's standard deviations."""


Algorithm = Annotated[
    EpsilonGreedy | Ucb1 | Thompson | LinUcb | LinearThompson,
    pydantic.Field(discriminator="name"),
]


class KeepAll(Part):
    """Nothing is forgotten: right as long as nothing changes."""

    name: Literal["none"] = "none"


class Discount(Part):
    """What was known counts `factor` of it after each epoch."""

    name: Literal["discount"] = "discount"
    factor: Annotated[float, pydantic.Field(gt=0, lt=1)] = 0.98


class ChangePoints(Part):
    """Bayesian online change point detection (Adams and MacKay 2007), on two levels.

    In every epoch all arms change at once with probability `joint_hazard`,
    and one of them alone with probability `arm_hazard`, each with a K-th of it;
    what was known before is then void.
    What follows is with probability `near` close to the mean of what the arms are believed to be
    (a prior there that is worth `near_strength` rewards), else as the prior says.
    `run_starts` bounds how many epochs are kept as possible starts.
    """

    name: Literal["change-points"] = "change-points"
    joint_hazard: Annotated[float, pydantic.Field(ge=0, lt=1)] = 0.01
    arm_hazard: Annotated[float, pydantic.Field(ge=0, lt=1)] = 0.008
    near: Share = 0.8
    near_strength: Positive = 50.0
    run_starts: Annotated[int, pydantic.Strict(), pydantic.Field(ge=3, le=200)] = 20


Forgetting = Annotated[
    KeepAll | Discount | ChangePoints,
    pydantic.Field(discriminator="name"),
]


class Prior(Part):
    """What is believed of an arm's mean reward before its first reward.

    Binary rewards: Beta(`mean` · `strength`, (1 - `mean`) · `strength`), by default the uniform one.
    Continuous rewards: a normal-inverse-gamma law around `mean` and `sd`, worth `strength` rewards;
    what is left out is taken from all rewards that the experiment had so far.
    """

    mean: float | None = None
    sd: Positive | None = None
    """Standard deviation of one reward; continuous rewards alone have it."""
    strength: Positive = 2.0


class Guardrails(Part):
    """When an arm loses all its traffic, and from when on weights move at all."""

    max_error_rate: Share | None = None
    """Share of an arm's requests that may fail in an epoch."""
    max_p99_ms: Positive | None = None
    minimum_rewards: Count = 0
    """Rewards over all arms before weights move for the first time."""


class BanditPolicySpec(Part):
    """Who owns an experiment's weights, and by what rule they move."""

    experiment: Text
    algorithm: Algorithm = Thompson()
    reward_metric: Text = "business_value"
    reward_kind: Literal["binary", "continuous"] = "continuous"
    exploration_rate: ExplorationRate = 0.1
    update_frequency: PositiveDuration = dt.timedelta(minutes=5)
    """Length of an epoch."""
    max_step: Annotated[float, pydantic.Field(gt=0, le=1)] = 1.0
    """How much of the traffic one arm may gain or lose in an epoch."""
    reward_time_limit: PositiveDuration = dt.timedelta(days=7)
    """How long after its decision a reward still counts."""
    prior: Prior = Prior()
    forgetting: Forgetting = KeepAll()
    guardrails: Guardrails = Guardrails()
    mode: Literal["active", "shadow", "frozen"] = "active"
    """`shadow` decides and logs without writing weights; `frozen` learns and leaves weights alone."""
    foreign_changes: Literal["restore", "respect"] = "restore"
    """What becomes of weights that somebody else wrote."""
    seed: Seed = 1

    @pydantic.model_validator(mode="after")
    def _prior_fits(self) -> Self:
        if self.reward_kind == "binary":
            if self.prior.sd is not None:
                raise notation.wrong(
                    "prior.sd", "binary rewards have no standard deviation of their own"
                )
            if self.prior.mean is not None and not 0 < self.prior.mean < 1:
                raise notation.wrong(
                    "prior.mean", f"{self.prior.mean:g} is no mean of binary rewards: 0 < mean < 1"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _forgetting_fits(self) -> Self:
        if isinstance(self.algorithm, LinUcb | LinearThompson) and isinstance(
            self.forgetting, ChangePoints
        ):
            raise notation.wrong(
                "forgetting.name", f"{self.algorithm.name} knows none and discount alone"
            )
        return self

    @property
    def contextual(self) -> bool:
        """Whether decisions are made request by request, from a context."""
        return isinstance(self.algorithm, LinUcb | LinearThompson)

    def floor(self, arms: int) -> float:
        """Say the least share of each of so many arms.

        Raises:
            ValueError: there is no arm.

        """
        if arms < 1:
            raise ValueError(
                f"experiment {self.experiment!r} has no candidates: there is no arm to give traffic"
            )
        return self.exploration_rate / arms


class Metadata(pydantic.BaseModel):
    """What Kubernetes keeps about every object; what a server adds is kept as it is."""

    model_config = pydantic.ConfigDict(
        extra="allow",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )

    name: Text
    namespace: Text | None = None
    resource_version: Text | None = None
    generation: int | None = None


class BanditPolicy(Part):
    """The custom resource. `status` is the controller's alone."""

    api_version: Literal["bandits.bellwether.dev/v1alpha1"] = API_VERSION
    kind: Literal["BanditPolicy"] = KIND
    metadata: Metadata
    spec: BanditPolicySpec
    status: dict[str, Any] | None = None


def parse(manifest: Mapping[str, Any]) -> BanditPolicy:
    """Read a manifest.

    Raises:
        notation.ManifestError: what is wrong with it, all of it, each with its path.

    """
    return notation.parse_as(BanditPolicy, manifest)


def parse_spec(spec: Mapping[str, Any]) -> BanditPolicySpec:
    """Read a `spec` that stands alone, as in a simulation's environment.

    Raises:
        notation.ManifestError: as `parse`.

    """
    return notation.parse_as(BanditPolicySpec, spec)


def manifest(policy: BanditPolicy) -> dict[str, Any]:
    """Write a policy as a manifest: camelCase, without what is not set."""
    return policy.model_dump(mode="json", by_alias=True, exclude_none=True)


def json_schema() -> dict[str, Any]:
    """Say what a manifest may be, as the custom resource definition's `openAPIV3Schema`."""
    return {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural.schema(BanditPolicySpec),
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
