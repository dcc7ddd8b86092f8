"""Bringing a stack's environment up and down through Pulumi's Automation API."""

import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import socket
import threading
import typing

import psutil
import pulumi.automation

from bellwether import steps
from infra import paths, program, settings
from infra.local import supervision, toolchain
from loadtests import endpoints

LOCAL_PASSPHRASE = "bellwether-local"  # noqa: S105  a local stack holds no secrets: its passphrase is public
DEFAULT_STACK = "local"
_GRPC_PREFIX = re.compile(r"Unexpected <class '[^']+'>: ")  # how gRPC names a provider's error


class EnvironmentFailedError(Exception):
    """The environment could not be brought where it should be; the message holds what the parts said."""


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


@dataclasses.dataclass(frozen=True)
class Change:
    """What one operation did, or would do, to how many resources."""

    counts: dict[str, int]
    steps: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(operation, resource, properties that differ) for everything that is not left alone."""

    @property
    def empty(self) -> bool:
        """Whether nothing changes."""
        return not self.steps


def up(stack: Stack) -> Change:
    """Bring the environment up.

    Raises:
        toolchain.MissingToolError: something is not installed or trained.
        EnvironmentFailedError: a part did not come up.

    """
    program.local(stack.settings())
    with steps.step(f"environment `{stack.name}`") as step:
        change = _operate(stack, step, "up")
        step.note = _summary(change, "nothing to change")
    return change


def preview(stack: Stack) -> Change:
    """Say what `up` would change, compared with what really runs.

    Raises:
        toolchain.MissingToolError: something is not installed or trained.
        EnvironmentFailedError: the program or a check failed.

    """
    program.local(stack.settings())
    with steps.step(f"preview of `{stack.name}`") as step:
        change = _operate(stack, step, "preview")
        step.note = _summary(change, "`up` would change nothing")
    return change


def down(stack: Stack) -> None:
    """Take the environment down: no process and no port stays; data under the home does.

    Raises:
        EnvironmentFailedError: something could not be removed.

    """
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


def _operate(
    stack: Stack, step: steps.Step, verb: typing.Literal["up", "preview", "destroy"]
) -> Change:
    """Let Pulumi compare with what really runs, and do it."""
    with _selected(stack) as (handle, lines):
        watcher = _Watcher(step)
        operation: collections.abc.Callable[..., object] = getattr(handle, verb)
        with _explained(watcher, lines, verb):
            operation(on_event=watcher, on_output=lines.append, refresh=True, color="never")
        return watcher.change()


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


class _Watcher:
    """Follows Pulumi's events: progress for people, changes and diagnostics for the caller."""

    def __init__(self, step: steps.Step) -> None:
        self._step = step
        self._lock = threading.Lock()
        self._running: list[str] = []
        self._changes: dict[str, tuple[str, str, tuple[str, ...]]] = {}
        self._counts: dict[str, int] = {}
        self.diagnostics: list[str] = []

    def __call__(self, event: pulumi.automation.EngineEvent) -> None:
        with self._lock:
            if event.resource_pre_event:
                metadata = event.resource_pre_event.metadata
                operation = str(getattr(metadata.op, "value", metadata.op))
                name = metadata.urn.rpartition("::")[2]
                if operation not in {"same", "refresh", "read"} and not _is_stack(metadata.urn):
                    differing = tuple(sorted(metadata.detailed_diff or {})) or tuple(
                        metadata.diffs or ()
                    )
                    self._changes[metadata.urn] = (
                        operation,
                        f"{metadata.type.split(':')[-1]} {name}",
                        differing,
                    )
                self._running.append(name)
                self._step.describe(name)
            elif event.res_outputs_event:
                name = event.res_outputs_event.metadata.urn.rpartition("::")[2]
                if name in self._running:
                    self._running.remove(name)
                self._step.advance()
                self._step.describe(self._running[-1] if self._running else "")
            elif event.diagnostic_event and event.diagnostic_event.severity == "error":
                where = (event.diagnostic_event.urn or "").rpartition("::")[2]
                text = event.diagnostic_event.message.strip()
                self.diagnostics.append(f"{where}: {text}" if where else text)
            elif event.summary_event:
                self._counts = {
                    str(getattr(k, "value", k)): v
                    for k, v in (event.summary_event.resource_changes or {}).items()
                }

    def change(self) -> Change:
        """Say what changed, or would change."""
        return Change(self._counts, tuple(self._changes.values()))


def _is_stack(urn: str) -> bool:
    return "pulumi:pulumi:Stack" in urn


@contextlib.contextmanager
def _explained(watcher: _Watcher, lines: list[str], verb: str) -> collections.abc.Iterator[None]:
    """Turn Pulumi's failure into what its parts said."""
    try:
        yield
    except pulumi.automation.CommandError as error:
        said = [line for line in watcher.diagnostics if "update failed" not in line]
        text = "\n".join(dict.fromkeys(said)) or "".join(lines[-20:]) or str(error)
        raise EnvironmentFailedError(f"`{verb}` failed:\n{text}") from error


def _summary(change: Change, nothing: str) -> str:
    if change.empty:
        return nothing
    counts: dict[str, int] = {}
    for operation, _, _ in change.steps:
        counts[operation] = counts.get(operation, 0) + 1
    return ", ".join(f"{count} to {operation}" for operation, count in sorted(counts.items()))
