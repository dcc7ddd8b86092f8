"""The program of every stack: settings, then catalogue, then target."""

import collections.abc

import pulumi
from pulumi.runtime import config

from bellwether import training
from infra import paths, settings
from infra.cluster import settings as cluster_settings
from infra.local import manifests, target, toolchain


def run() -> None:
    """Register what the selected stack declares.

    Raises:
        settings.SettingsError: the stack's configuration is wrong, or one of its `manifests`.
        toolchain.MissingToolError: a program or a trained model is missing.

    """
    # By `pulumi up` the configuration comes in the environment, by the Automation API it is set.
    values = {**config.get_config_env(), **config.CONFIG.get()}
    where = f"Pulumi.{pulumi.get_stack()}.yaml"
    if settings.target(values) == "local":
        target.declare(local(settings.Settings.parse(values, where)))
        return
    stack = cluster_settings.parse(values, where, _encrypted(values))
    cluster_settings.refuse_examples(stack)
    on_cluster(stack)


def _encrypted(values: collections.abc.Iterable[str]) -> set[str]:
    """Name the keys whose values are encrypted in the stack's file."""
    by_language_host = set(config.get_config_secret_keys_env())
    return by_language_host | {key for key in values if config.is_config_secret(key)}


def on_cluster(stack: cluster_settings.Cluster) -> None:
    """Register what a cluster's stack declares.

    Raises:
        training.DataError: the stack's `data` is no folder of CSV files.

    """
    from infra.cluster import target as cluster  # noqa: PLC0415  a local stack starts without it

    cluster.declare(stack, training.provenances(stack.data, stack.seed))


def local(stack: settings.Settings) -> target.Local:
    """Find everything that the local target needs beside its settings; see `run` for the errors."""
    given = manifests.read(stack.manifests)
    states = training.states(stack.data, stack.seed)
    artifacts = {name: folder for name, folder in states.items() if folder is not None}
    if stale := sorted(set(states) - set(artifacts)):
        raise toolchain.MissingToolError(
            f"to be trained first, as their code or data is new: {', '.join(stale)}; "
            "`make up` (or `uv run bellwether train`) does it"
        )
    return target.Local(stack, paths.home(), toolchain.Toolchain.locate(), artifacts, given)
