"""The program of every stack: settings, then catalogue, then target."""

import pulumi
from pulumi.runtime import config

from bellwether import training
from infra import paths, settings
from infra.local import target, toolchain


def run() -> None:
    """Register what the selected stack declares.

    Raises:
        settings.SettingsError: the stack's configuration is wrong.
        toolchain.MissingToolError: a program or a trained model is missing.

    """
    # By `pulumi up` the configuration comes in the environment, by the Automation API it is set.
    values = {**config.get_config_env(), **config.CONFIG.get()}
    target.declare(local(settings.Settings.parse(values, f"Pulumi.{pulumi.get_stack()}.yaml")))


def local(stack: settings.Settings) -> target.Local:
    """Find everything that the local target needs beside its settings; see `run` for the errors."""
    artifacts = training.trained(stack.data, stack.seed)
    if artifacts is None:
        raise toolchain.MissingToolError(
            "the models are not trained, or their code or data changed: "
            "`make up` (or `uv run bellwether train`) trains them"
        )
    return target.Local(stack, paths.home(), toolchain.Toolchain.locate(), artifacts)
