"""What the stack of a cluster may set: `Pulumi.<stack>.yaml`, keys `bellwether:…`.

What differs by the kind of environment has its defaults in `sizes.py`.
"""

import collections.abc
import pathlib
import re
import typing

import pydantic

from infra import settings
from infra.cluster import sizes

Image = typing.Literal[
    "predictor",
    "features",
    "guard",
    "router",
    "explainer",
    "decision",
    "bandit",
    "monitor",
    "console",
]
IMAGES: tuple[Image, ...] = typing.get_args(Image)
"""What is built here: the folders under `runtimes/` that become images."""

SECRETS = (
    "valkey_password",
    "artifacts_access_key",
    "artifacts_secret_key",
    "kafka_password",
)
"""Settings that are secrets: `pulumi config set --secret bellwether:<name>`."""

PLACEHOLDER = "[secret]"
"""What stands for a secret wherever nothing is decrypted."""

EXAMPLE_HOST = "registry.example.com"
"""The registry of the stacks as they are cloned: a name that is nobody's."""

Name = typing.Annotated[
    str, pydantic.Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)
]
Quantity = typing.Annotated[str, pydantic.Field(pattern=r"^[1-9][0-9]*(Mi|Gi|Ti)$")]
Secret = pydantic.SecretStr

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MANAGED_KAFKA_NEEDS = ("kafka_password",)


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


def _digest(value: str) -> str:
    if _DIGEST.fullmatch(value) is None:
        raise ValueError(
            "expected a digest, `sha256:` and 64 hexadecimal digits: "
            "`bellwether images build` prints it, and tags can be moved"
        )
    return value


class Images(_Part):
    """Where our images are, and which."""

    registry: str = pydantic.Field(
        pattern=r"^[^\s@]+[^\s@/]$", description="host and path, without the image's name"
    )
    digests: dict[Image, typing.Annotated[str, pydantic.AfterValidator(_digest)]] = pydantic.Field(
        description="image -> sha256 digest"
    )
    pull_secret: Name | None = pydantic.Field(
        None, description="a Secret of type dockerconfigjson that exists in the namespace"
    )

    @pydantic.model_validator(mode="after")
    def _all(self) -> typing.Self:
        if missing := [name for name in IMAGES if name not in self.digests]:
            raise ValueError(f"digests of these images are missing: {', '.join(missing)}")
        return self

    def reference(self, name: Image) -> str:
        """Give an image's reference, pinned."""
        return f"{self.registry}/{name}@{self.digests[name]}"


class ManagedKafka(_Part):
    """A Kafka that somebody else runs: TLS, SASL by SCRAM-SHA-512."""

    bootstrap: str = pydantic.Field(pattern=r"^[^:\s,]+:\d{1,5}(,[^:\s,]+:\d{1,5})*$")
    username: str = pydantic.Field(min_length=1)
    replication: int = pydantic.Field(3, ge=1, le=9)
    networks: tuple[str, ...] = pydantic.Field(
        ("0.0.0.0/0",), description="CIDRs that it answers from, for the network policies"
    )


class OwnKafka(_Part):
    """A Kafka that Strimzi runs beside the environment."""

    brokers: int | None = pydantic.Field(
        None, ge=1, le=9, description="by default as the size says"
    )
    storage: Quantity | None = None
    storage_class: Name | None = None


class ManagedValkey(_Part):
    """A Redis or Valkey that somebody else runs, over TLS."""

    address: str = pydantic.Field(pattern=r"^[^:\s]+:\d{1,5}$", description="host:port")
    networks: tuple[str, ...] = ("0.0.0.0/0",)


class OwnValkey(_Part):
    """A Valkey beside the environment."""

    replicas: int | None = pydantic.Field(None, ge=0, le=5)
    storage: Quantity | None = None
    storage_class: Name | None = None


class Kafka(_Part):
    """One of both."""

    own: OwnKafka | None = None
    managed: ManagedKafka | None = None

    @pydantic.model_validator(mode="after")
    def _one(self) -> typing.Self:
        if self.own is not None and self.managed is not None:
            raise ValueError("both `own` and `managed` are set: keep one of them")
        return self


class Valkey(_Part):
    """One of both."""

    own: OwnValkey | None = None
    managed: ManagedValkey | None = None

    @pydantic.model_validator(mode="after")
    def _one(self) -> typing.Self:
        if self.own is not None and self.managed is not None:
            raise ValueError("both `own` and `managed` are set: keep one of them")
        return self


class Artifacts(_Part):
    """The bucket of the models' artifacts, spoken to as S3."""

    bucket: str = pydantic.Field(pattern=r"^[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]$")
    prefix: str = pydantic.Field("artifacts", pattern=r"^[-_.a-zA-Z0-9]+(/[-_.a-zA-Z0-9]+)*$")
    endpoint: str = pydantic.Field(
        "https://s3.amazonaws.com", pattern=r"^https?://\S+$", description="its S3 API"
    )
    region: str = "us-east-1"
    networks: tuple[str, ...] = ("0.0.0.0/0",)


class Operators(_Part):
    """Which operators this stack installs. A cluster has each once: one stack of it installs them."""

    seldon: bool = True
    strimzi: bool = True
    prometheus: bool = True


class Cluster(_Part):
    """What a cluster's stack may set."""

    target: typing.Literal["cluster"]
    environment: sizes.Environment = pydantic.Field(
        description="its kind, which decides sizes and protection"
    )
    context: str = pydantic.Field(
        min_length=1, description="the kubeconfig's context; never the current one by accident"
    )
    kubeconfig: pathlib.Path | None = pydantic.Field(
        None, description="a file; by default what KUBECONFIG or ~/.kube/config says"
    )
    namespace: Name = pydantic.Field("bellwether", description="the environment's namespace")
    operators_namespace: Name = pydantic.Field(
        "bellwether-operators", description="where operators run"
    )
    operators: Operators = Operators()
    images: Images
    artifacts: Artifacts
    kafka: Kafka = Kafka()
    valkey: Valkey = Valkey()
    seldon_licence: typing.Literal["evaluation", "production"] = pydantic.Field(
        "evaluation",
        description="Seldon Core 2 is under BSL 1.1: production use needs a licence from Seldon",
    )
    ingress_namespaces: tuple[Name, ...] = pydantic.Field(
        (), description="namespaces whose pods may call the gateway and the console"
    )
    max_request_bytes: int = pydantic.Field(16 * 2**20, ge=1024, le=2**30)
    record_days: int = pydantic.Field(
        30,
        ge=1,
        le=3650,
        description="how long Kafka keeps records of pipelines' steps: so long a prediction can "
        "be audited; a managed Kafka is told so by its owner",
    )
    data: pathlib.Path | None = pydantic.Field(
        None, description="a folder of OHLCV CSV files that models are trained on"
    )
    seed: int = pydantic.Field(1, ge=0, le=2**31 - 1)

    valkey_password: Secret | None = pydantic.Field(None, description="of Valkey, own or managed")
    artifacts_access_key: Secret | None = pydantic.Field(None, description="of the bucket")
    artifacts_secret_key: Secret | None = pydantic.Field(None, description="of the bucket")
    kafka_password: Secret | None = pydantic.Field(None, description="of a managed Kafka")

    @pydantic.model_validator(mode="after")
    def _whole(self) -> typing.Self:
        needed = ["valkey_password", "artifacts_access_key", "artifacts_secret_key"]
        needed += list(_MANAGED_KAFKA_NEEDS) if self.kafka.managed else []
        if missing := [name for name in needed if getattr(self, name) is None]:
            listed = ", ".join(f"`{settings.PROJECT}:{name}`" for name in missing)
            raise ValueError(
                f"secrets are missing: {listed}; set each by "
                f"`pulumi config set --secret {settings.PROJECT}:{missing[0]}`"
            )
        if self.environment == "production" and self.seldon_licence != "production":
            raise ValueError(
                "`seldon_licence` is `evaluation`: production use of Seldon Core 2 needs a licence "
                "from Seldon (BSL 1.1); with one, set it to `production`"
            )
        if self.namespace == self.operators_namespace:
            raise ValueError("`namespace` and `operators_namespace` are the same: name two")
        return self

    @property
    def size(self) -> sizes.Size:
        """The kind's defaults."""
        return sizes.SIZES[self.environment]

    @property
    def brokers(self) -> int:
        """How many Kafka nodes run here."""
        return (self.kafka.own or OwnKafka()).brokers or self.size.brokers

    @property
    def valkey_replicas(self) -> int:
        """How many copies of Valkey run beside the primary."""
        own = (self.valkey.own or OwnValkey()).replicas
        return self.size.valkey_replicas if own is None else own

    def secret(self, name: str) -> str:
        """Give a secret's value; the model has checked that it is there."""
        value: Secret | None = getattr(self, name)
        return PLACEHOLDER if value is None else value.get_secret_value()


def parse(
    values: collections.abc.Mapping[str, typing.Any],
    where: str,
    decrypted: collections.abc.Collection[str] = (),
) -> Cluster:
    """Read a cluster's configuration; `decrypted` names the keys whose values were encrypted.

    Raises:
        settings.SettingsError: naming `where`, each wrong key, and what it should be.

    """
    given, problems = dict(values), []
    for name in SECRETS:
        key = f"{settings.PROJECT}:{name}"
        value = given.get(key)
        if isinstance(value, collections.abc.Mapping) and set(value) == {"secure"}:
            given[key] = Secret(PLACEHOLDER)
        elif value is not None and key in decrypted:
            given[key] = Secret(str(value))
        elif value is not None:
            del given[key]
            problems.append(
                f"`{key}` is a secret in plain text: `pulumi config rm {key}`, "
                f"`pulumi config set --secret {key}`, and let the old value be replaced where it is used"
            )
    return settings.parse_as(Cluster, given, where, problems)


def read(path: pathlib.Path) -> Cluster:
    """Read `Pulumi.<stack>.yaml` without decrypting anything: every secret is a placeholder.

    A secret that is not set yet is no error here: what is made from this reading shows no secret.

    Raises:
        settings.SettingsError: the file is missing, is no YAML, or holds a wrong key or value.

    """
    values = settings.configuration(path)
    for name in SECRETS:
        values.setdefault(f"{settings.PROJECT}:{name}", {"secure": PLACEHOLDER})
    return parse(values, path.name)


def refuse_examples(stack: Cluster) -> None:
    """Refuse what a clone has not made its own; for what touches a cluster.

    Raises:
        settings.SettingsError: naming the key.

    """
    if EXAMPLE_HOST in stack.images.registry:
        raise settings.SettingsError(
            f"`{settings.PROJECT}:images.registry` is the example `{stack.images.registry}`: "
            "set your registry and the digests that `bellwether images build --push` printed"
        )
