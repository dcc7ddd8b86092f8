"""Bringing a stack's environment up and down through Pulumi's Automation API."""

import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import socket
import typing

import psutil
import pulumi.automation

from bellwether import engine, steps
from infra import paths, program, settings
from infra.cluster import settings as cluster_settings
from infra.local import supervision, toolchain
from loadtests import endpoints

LOCAL_PASSPHRASE = "bellwether-local"  # noqa: S105  a local stack holds no secrets: its passphrase is public
DEFAULT_STACK = "local"


EnvironmentFailedError = engine.EnvironmentFailedError


@dataclasses.dataclass(frozen=True)
class Stack:
    """A stack of this checkout, by its name."""

    name: str

    @property
    def file(self) -> pathlib.Path:
        """Its configuration."""
        return paths.ROOT / f"Pulumi.{self.name}.yaml"

    def settings(self) -> settings.Settings:
        """Read its configuration.

        Raises:
            settings.SettingsError: something in it is wrong.

        """
        return settings.read(self.file)

    @property
    def on_cluster(self) -> bool:
        """Whether its target is a cluster; a stack without a file is none."""
        return self.file.exists() and settings.target(settings.configuration(self.file)) != "local"

    def trained_on(self) -> tuple[pathlib.Path | None, int]:
        """Give the data, None for the built-in, and the seed of its models; errors as `settings`."""
        wanted = cluster_settings.read(self.file) if self.on_cluster else self.settings()
        return wanted.data, wanted.seed

    @property
    def home(self) -> pathlib.Path:
        """Where the local environment of this stack keeps everything."""
        return paths.home()

    def endpoints(self) -> endpoints.Endpoints:
        """Give the addresses that tests and benchmarks ask."""
        wanted = self.settings()
        return endpoints.Endpoints(
            gateway=f"http://127.0.0.1:{wanted.ports.gateway}",
            mesh=f"http://127.0.0.1:{wanted.ports.mesh}",
            model_server=f"http://127.0.0.1:{wanted.ports.model_server}",
            namespace=wanted.namespace,
        )


def up(stack: Stack) -> engine.Change:
    """Bring the environment up.

    Raises:
        toolchain.MissingToolError: something is not installed or trained.
        EnvironmentFailedError: a part did not come up.

    """
    program.local(stack.settings())
    with steps.step(f"environment `{stack.name}`") as step:
        change, _ = _operate(stack, step, "up")
        step.note = engine.summary(change, "nothing to change")
    return change


def preview(stack: Stack, report: pathlib.Path | None = None) -> engine.Change:
    """Say what `up` would change, compared with what really runs.

    Args:
        stack: a local one.
        report: where to write the engine's own digest (`pulumi preview --json`), if anywhere.

    Raises:
        toolchain.MissingToolError: something is not installed or trained.
        EnvironmentFailedError: the program or a check failed.

    """
    program.local(stack.settings())
    with steps.step(f"preview of `{stack.name}`") as step:
        change, digest = _operate(stack, step, "preview", json=report is not None)
        step.note = engine.summary(change, "`up` would change nothing")
    if report is not None:
        report.write_text(digest)
    return change


def down(stack: Stack) -> None:
    """Take the environment down: no process and no port stays; data under the home does.

    Raises:
        settings.SettingsError: it is the stack of a cluster.
        EnvironmentFailedError: something could not be removed.

    """
    if stack.on_cluster:
        raise settings.SettingsError(
            f"`{stack.name}` is the stack of a cluster: `pulumi destroy -s {stack.name}` takes it "
            "down, except what is protected; docs/first-cluster.md says in which order"
        )
    supervision_ = supervision.Supervision(stack.home)
    with steps.step(f"environment `{stack.name}` down") as step:
        try:
            if _has_state(stack):
                _operate(stack, step, "destroy")
        finally:
            # Whatever became of the records about them: no process stays.
            leftovers = supervision_.leftovers()
            supervision.end(leftovers)
            if leftovers:
                step.note = f"{len(leftovers)} processes were left over and ended"


def drift(stack: Stack) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Compare what really runs with what was declared last; see `engine.drift`.

    Raises:
        EnvironmentFailedError: nothing was declared yet, or a part could not be looked at.

    """
    stack.settings()
    if not _has_state(stack):
        raise EnvironmentFailedError(
            f"nothing of stack `{stack.name}` was declared yet: `bellwether up -s {stack.name}`"
        )
    with steps.step(f"drift of `{stack.name}`") as step, _selected(stack) as (handle, lines):
        found = engine.drift(handle, lines, step)
        step.note = f"{len(found)} differ" if found else "as declared"
    return found


def _operate(
    stack: Stack, step: steps.Step, verb: engine.Verb, **options: typing.Any
) -> tuple[engine.Change, str]:
    """Let Pulumi compare with what really runs, and do it."""
    with _selected(stack) as (handle, lines):
        return engine.operate(handle, lines, step, verb, refresh=True, **options)


def open_ports(ports: settings.Ports) -> dict[str, int]:
    """Give the settings whose ports somebody listens on."""
    found = {}
    for name, port in ports:
        with socket.socket() as probe_:
            probe_.settimeout(1)
            if probe_.connect_ex(("127.0.0.1", port)) == 0:
                found[name] = port
    return found


@contextlib.contextmanager
def _selected(
    stack: Stack,
) -> collections.abc.Iterator[tuple[pulumi.automation.Stack, list[str]]]:
    """Select the Pulumi stack, healing what an interrupted run left behind."""
    command = toolchain.pulumi()
    if command is None:
        raise toolchain.MissingToolError("not installed: the Pulumi CLI. `make up` installs it.")
    state = stack.home / "state"
    state.mkdir(parents=True, exist_ok=True)
    _heal(stack)
    variables = {
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": os.environ.get("PULUMI_CONFIG_PASSPHRASE", LOCAL_PASSPHRASE),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
        "BELLWETHER_HOME": str(stack.home),
        "BELLWETHER_CACHE": str(paths.cache()),
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
    }
    os.environ["PATH"] = variables["PATH"]
    options = pulumi.automation.LocalWorkspaceOptions(
        work_dir=str(paths.ROOT), pulumi_home=str(stack.home / "pulumi"), env_vars=variables
    )
    lines: list[str] = []
    known = (state / ".pulumi" / "stacks" / settings.PROJECT / f"{stack.name}.json").exists()
    make = pulumi.automation.select_stack if known else pulumi.automation.create_or_select_stack
    handle = make(
        stack_name=stack.name, project_name=settings.PROJECT, program=program.run, opts=options
    )
    yield handle, lines


def _has_state(stack: Stack) -> bool:
    return (
        stack.home / "state" / ".pulumi" / "stacks" / settings.PROJECT / f"{stack.name}.json"
    ).exists()


def _heal(stack: Stack) -> None:
    """Undo what a run that was killed left in the state: its lock, and its unfinished operations.

    Raises:
        EnvironmentFailedError: another run holds the lock and lives.

    """
    folder = stack.home / "state" / ".pulumi"
    for lock in (folder / "locks").rglob("*.json"):
        try:
            holder = json.loads(lock.read_text())
            pid = int(holder["pid"])
        except (ValueError, KeyError, FileNotFoundError):
            pid = 0
        if _runs_pulumi(pid):
            raise EnvironmentFailedError(
                f"another run (process {pid}) is changing this environment right now: "
                "wait for its end, or end it"
            )
        lock.unlink(missing_ok=True)
    checkpoint = folder / "stacks" / settings.PROJECT / f"{stack.name}.json"
    if not checkpoint.exists():
        return
    document = json.loads(checkpoint.read_text())
    latest = (document.get("checkpoint") or {}).get("latest") or {}
    if latest.get("pending_operations"):
        # Creating is idempotent for every type of the local provider: what was begun is begun again.
        latest["pending_operations"] = []
        temporary = checkpoint.with_name(f".{checkpoint.name}")
        temporary.write_text(json.dumps(document, indent=4))
        temporary.replace(checkpoint)


def _runs_pulumi(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.name() == "pulumi" and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
