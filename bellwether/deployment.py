"""A cluster's stack through the engine: what is missing is said before anything is touched."""

import collections.abc
import contextlib
import os
import pathlib
import shutil
import socket
import typing
import urllib.parse

import pulumi.automation
import yaml

from bellwether import engine, environment, steps
from infra import paths, program, settings
from infra.cluster import manifest
from infra.cluster import settings as cluster_settings
from infra.local import toolchain

PROVIDER = "pulumi-resource-kubernetes"
_SECONDS_TO_CONNECT = 5


class NotReadyError(Exception):
    """Something that a cluster's stack needs is missing here; the message says how to get each."""


def up(stack: environment.Stack, plan: pathlib.Path | None = None) -> engine.Change:
    """Bring a cluster to what its stack declares; with a plan, do what was reviewed or nothing.

    Raises:
        settings.SettingsError: the stack's configuration is wrong.
        NotReadyError: the engine, the provider, the cluster or the stack's state is missing.
        EnvironmentFailedError: something did not come up, or the plan does not hold any more.

    """
    options: dict[str, typing.Any] = {} if plan is None else {"plan": str(plan.absolute())}
    with _step(f"stack `{stack.name}`", stack) as (step, handle, lines):
        change, _ = engine.operate(handle, lines, step, "up", **options)
        step.note = engine.summary(change, "nothing to change")
    return change


def preview(
    stack: environment.Stack,
    report: pathlib.Path | None = None,
    save_plan: pathlib.Path | None = None,
) -> engine.Change:
    """Say what `up` would change; for the errors see `up`.

    Args:
        stack: a cluster's.
        report: where to write the engine's own digest (`pulumi preview --json`), if anywhere.
        save_plan: where to write the plan that `up` can be held to, if anywhere.

    """
    options: dict[str, typing.Any] = {"json": report is not None}
    if save_plan is not None:
        options["plan"] = str(save_plan.absolute())
    with _step(f"preview of `{stack.name}`", stack) as (step, handle, lines):
        change, digest = engine.operate(handle, lines, step, "preview", **options)
        step.note = engine.summary(change, "`up` would change nothing")
    if report is not None:
        report.write_text(digest)
    return change


def drift(stack: environment.Stack) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Compare what is in the cluster with what was declared last; for the errors see `up`."""
    with _step(f"drift of `{stack.name}`", stack) as (step, handle, lines):
        found = engine.drift(handle, lines, step)
        step.note = f"{len(found)} differ" if found else "as declared"
    return found


@contextlib.contextmanager
def selected(
    stack: environment.Stack,
) -> collections.abc.Iterator[tuple[pulumi.automation.Stack, list[str]]]:
    """Select the stack once everything that it needs is there; for the errors see `up`."""
    check(stack)
    command = toolchain.pulumi()
    assert command is not None  # noqa: S101  `check` has looked
    os.environ["PATH"] = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    variables = {"PULUMI_SKIP_UPDATE_CHECK": "true", "BELLWETHER_CACHE": str(paths.cache())}
    if "PULUMI_BACKEND_URL" not in os.environ:
        # The project's own: a folder of the checkout, which the engine wants to exist.
        (paths.ROOT / ".bellwether" / "state").mkdir(parents=True, exist_ok=True)
    options = pulumi.automation.LocalWorkspaceOptions(work_dir=str(paths.ROOT), env_vars=variables)
    try:
        handle = pulumi.automation.select_stack(
            stack_name=stack.name,
            project_name=settings.PROJECT,
            program=program.run,
            opts=options,
        )
    except pulumi.automation.StackNotFoundError as error:
        backend = os.environ.get("PULUMI_BACKEND_URL", "the checkout (PULUMI_BACKEND_URL is unset)")
        raise NotReadyError(
            f"stack `{stack.name}` has no state in {backend}: set PULUMI_BACKEND_URL to where it is, "
            f"or begin it by `pulumi stack init {stack.name}`; docs/first-cluster.md leads there"
        ) from error
    yield handle, []


def check(stack: environment.Stack) -> None:
    """Look for everything that a cluster's stack needs, touching nothing.

    Raises:
        settings.SettingsError: the stack's configuration cannot be read.
        NotReadyError: naming all that is missing.

    """
    wanted = cluster_settings.read(stack.file)
    missing = [
        *_configuration(stack),
        *_engine(),
        *missing_provider(),
        *_passphrase(stack),
        *_cluster(wanted),
    ]
    if missing:
        listed = "\n".join(f"  - {each}" for each in missing)
        raise NotReadyError(f"stack `{stack.name}` needs what is missing here:\n{listed}")


def _configuration(stack: environment.Stack) -> list[str]:
    """Read it as strictly as a deployment needs it: no secret missing, nothing still the example."""
    values = settings.configuration(stack.file)
    checks: tuple[collections.abc.Callable[[], object], ...] = (
        lambda: cluster_settings.parse(values, stack.file.name),
        lambda: cluster_settings.refuse_examples(cluster_settings.read(stack.file)),
    )
    problems = []
    for each in checks:
        try:
            each()
        except settings.SettingsError as error:
            problems.append(str(error).replace("\n  - ", "\n      "))
    return problems


def _engine() -> list[str]:
    if toolchain.pulumi() is not None:
        return []
    return ["the Pulumi CLI: `uv run bellwether setup` builds it, or put the official one on PATH"]


def missing_provider() -> list[str]:
    """Say how to get the Kubernetes provider where it is missing."""
    home = pathlib.Path(os.environ.get("PULUMI_HOME") or pathlib.Path.home() / ".pulumi")
    version = manifest.PROVIDER_VERSION
    plugin = home / "plugins" / f"resource-kubernetes-v{version}" / PROVIDER
    if plugin.exists() or shutil.which(PROVIDER):
        return []
    return [
        (
            f"Pulumi's Kubernetes provider {version}: `uv run bellwether setup --cluster` "
            f"brings it, as `pulumi plugin install resource kubernetes {version}` does "
            f"(looked for {plugin}, and {PROVIDER} on PATH)"
        )
    ]


def _passphrase(stack: environment.Stack) -> list[str]:
    document = yaml.safe_load(stack.file.read_text()) or {}
    given = {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & set(os.environ)
    if given or "encryptionsalt" not in document:
        return []
    return [
        (
            f"the passphrase of {stack.file.name}'s secrets: set PULUMI_CONFIG_PASSPHRASE_FILE, "
            "or PULUMI_CONFIG_PASSPHRASE"
        )
    ]


def _cluster(wanted: cluster_settings.Cluster) -> list[str]:
    files = kubeconfigs(wanted)
    found = [file for file in files if file.is_file()]
    looked = ", ".join(map(str, files))
    if not found:
        return [
            (
                f"a kubeconfig with the context `{wanted.context}` (looked for {looked}): your cluster's "
                "provider writes one; KUBECONFIG or `bellwether:kubeconfig` names another file"
            )
        ]
    documents = [yaml.safe_load(file.read_text()) or {} for file in found]
    contexts = _named(documents, "contexts", "context")
    if wanted.context not in contexts:
        known = ", ".join(sorted(contexts)) or "none"
        return [
            (
                f"the context `{wanted.context}` in {looked}; there are: {known}. "
                "`bellwether:context` names the one to use"
            )
        ]
    cluster = _named(documents, "clusters", "cluster").get(contexts[wanted.context]["cluster"], {})
    server = str(cluster.get("server", ""))
    if "proxy-url" in cluster or _answers(server):
        return []
    return [
        (
            f"the cluster of context `{wanted.context}`: {server or 'its server'} does not answer; "
            "is it running, and reachable from here?"
        )
    ]


def kubeconfigs(wanted: cluster_settings.Cluster) -> list[pathlib.Path]:
    """Name the files that a cluster's context is looked for in, as kubectl does."""
    if wanted.kubeconfig is not None:
        return [wanted.kubeconfig.expanduser()]
    given = os.environ.get("KUBECONFIG")
    if given:
        return [pathlib.Path(each) for each in given.split(os.pathsep) if each]
    return [pathlib.Path.home() / ".kube" / "config"]


def _named(documents: list[dict[str, typing.Any]], part: str, key: str) -> dict[str, typing.Any]:
    """Give a kubeconfig's entries by name; the first file that has a name wins."""
    found: dict[str, typing.Any] = {}
    for document in documents:
        for entry in document.get(part) or ():
            found.setdefault(entry["name"], entry.get(key) or {})
    return found


def _answers(server: str) -> bool:
    parts = urllib.parse.urlsplit(server)
    if parts.hostname is None:
        return False
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        with socket.create_connection((parts.hostname, port), _SECONDS_TO_CONNECT):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _step(
    title: str, stack: environment.Stack
) -> collections.abc.Iterator[tuple[steps.Step, pulumi.automation.Stack, list[str]]]:
    with steps.step(title) as step, selected(stack) as (handle, lines):
        yield step, handle, lines
