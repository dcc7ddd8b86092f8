"""Resource type `Process`: a supervised process with a readiness probe."""

import pathlib
import typing

import psutil
import pydantic

from infra.local import probe, supervision
from infra.local.provider import awaiting, handler, values

_HOPELESS = frozenset({"BACKOFF", "FATAL", "EXITED"})


class ProcessInputs(handler.Inputs):
    """What to run, and how to know that it serves."""

    home: str = pydantic.Field(pattern=r"^/", description="the environment's folder")
    name: str = pydantic.Field(pattern=r"^[a-z][a-z0-9-]*$")
    command: list[str] = pydantic.Field(min_length=1)
    environment: dict[str, str] = pydantic.Field(default_factory=dict)
    directory: str = pydantic.Field(pattern=r"^/")
    ports: dict[str, int] = pydantic.Field(
        default_factory=dict, description="setting that gives the port -> port it listens on"
    )
    readiness: probe.Probe
    triggers: dict[str, str] = pydantic.Field(
        default_factory=dict, description="what it was started with; a change restarts it"
    )
    stop_seconds: int = pydantic.Field(10, ge=1, le=120)

    def specification(self) -> supervision.Specification:
        """Give what supervisord needs."""
        return supervision.Specification(
            home=self.home,
            name=self.name,
            command=self.command,
            environment=self.environment,
            directory=self.directory,
            log=str(pathlib.Path(self.home) / "logs" / f"{self.name}.log"),
            ports=self.ports,
            readiness=self.readiness,
            stop_seconds=self.stop_seconds,
        ).with_digest(self.triggers)


class ProcessHandler(handler.Handler[ProcessInputs]):
    """Kept alive by supervisord; ready when its probe says so."""

    inputs = ProcessInputs
    replace_on = frozenset({"home", "name"})

    def identify(self, wanted: ProcessInputs) -> str:
        """A process is its name in its environment."""
        return f"{wanted.home}|{wanted.name}"

    def create(self, wanted: ProcessInputs, timeout: float) -> values.Plain:
        """Start it and wait until it is ready."""
        supervision_ = supervision.Supervision(pathlib.Path(wanted.home))
        specification = wanted.specification()
        _refuse_taken_ports(wanted)
        supervision_.write_section(specification)
        supervision_.remove(wanted.name)
        supervision_.add(wanted.name)
        try:
            _await_ready(supervision_, specification, timeout)
        except handler.ResourceError:
            supervision_.remove(wanted.name)
            supervision_.remove_section(wanted.name)
            raise
        return _outputs(specification)

    def read(self, last: ProcessInputs) -> values.Plain | None:
        """It is gone if supervisord does not run it, or runs something else under its name."""
        supervision_ = supervision.Supervision(pathlib.Path(last.home))
        specification = last.specification()
        written = supervision_.specification(last.name)
        if written is None or not supervision_.alive():
            return None
        if supervision_.states().get(last.name) not in {"RUNNING", "STARTING", "BACKOFF"}:
            return None
        if written.digest != specification.digest:
            return {"triggers": {"specification": "changed by somebody else"}}
        return _outputs(specification)

    def update(self, old: ProcessInputs, wanted: ProcessInputs, timeout: float) -> values.Plain:
        """Restart it if what runs changed; else only remember the new probe."""
        supervision_ = supervision.Supervision(pathlib.Path(wanted.home))
        specification = wanted.specification()
        if old.specification().digest != specification.digest:
            supervision_.remove(wanted.name)
            return self.create(wanted, timeout)
        supervision_.write_section(specification)
        _await_ready(supervision_, specification, timeout)
        return _outputs(specification)

    def delete(self, last: ProcessInputs, timeout: float) -> None:
        """Stop it and wait for its end."""
        del timeout
        supervision_ = supervision.Supervision(pathlib.Path(last.home))
        if supervision_.alive():
            supervision_.remove(last.name)
        supervision_.remove_section(last.name)
        supervision.end(supervision_.leftovers(last.name))


def _outputs(specification: supervision.Specification) -> values.Plain:
    return {"log": specification.log, "digest": specification.digest}


def _refuse_taken_ports(wanted: ProcessInputs) -> None:
    """Refuse to start beside somebody who holds a port; our own predecessor makes room by itself.

    Raises:
        handler.ResourceError: naming each port, its owner, and the setting that moves it.

    """
    supervision_ = supervision.Supervision(pathlib.Path(wanted.home))
    ours = {process.pid for process in supervision_.leftovers(wanted.name)}
    listening: dict[int, int | None] = {
        connection.laddr.port: connection.pid
        for connection in psutil.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr
    }
    problems = [
        f"port {port} of {wanted.name} is taken by {_owner(listening[port])}: "
        f"end that process, or set `{setting}` to another port"
        for setting, port in sorted(wanted.ports.items())
        if port in listening and listening[port] not in ours
    ]
    if problems:
        raise handler.ResourceError("\n".join(problems))


def _owner(pid: int | None) -> str:
    if pid is None:
        return "a process of another user"
    try:
        process = psutil.Process(pid)
        return f"process {pid} ({' '.join(process.cmdline())[:120] or process.name()})"
    except psutil.Error:
        return f"process {pid}"


def _await_ready(
    supervision_: supervision.Supervision, specification: supervision.Specification, timeout: float
) -> None:
    log = pathlib.Path(specification.log)
    failed_starts = 0

    def failure() -> str | None:
        nonlocal failed_starts
        state = supervision_.states().get(specification.name, "unknown to supervisord")
        if state in _HOPELESS:
            failed_starts += 1
            if failed_starts > 1:
                raise handler.ResourceError(
                    f"{specification.name} ends as soon as it starts ({state}). "
                    f"Last lines of {log}:\n{supervision.tail(log)}"
                )
        reason = specification.readiness.failure()
        if reason is None and specification.pid() is None:
            # The port answers, but it is not this process that answers.
            return "something else answers its probe"
        return reason

    awaiting.until(
        failure,
        timeout,
        specification.name,
        lambda: f"Last lines of {log}:\n{supervision.tail(log)}",
    )


State = typing.Literal["serving", "starting", "down"]


def state(specification: supervision.Specification) -> tuple[State, psutil.Process | None]:
    """Say what a process does right now: `serving`, `starting` or `down`, and which one it is."""
    pid = specification.pid()
    if pid is None:
        return "down", None
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return "down", None
    return ("serving" if specification.readiness.failure() is None else "starting"), process
