"""Talking to supervisord: where its files are, what it runs, how it is asked.

supervisord keeps the local environment's processes alive.
Each process is a section in `<home>/supervisor/conf.d` over `launch.py` and a specification.
"""

import dataclasses
import hashlib
import http.client
import json
import os
import pathlib
import shlex
import subprocess
import sys
import xmlrpc.client

import psutil
import pydantic
from supervisor import xmlrpc as supervisor_xmlrpc

from infra import paths
from infra.local import launch, probe

SUPERVISORD = "supervisord"
GUARDIAN = "guardian"
_RPC_FACTORY = "supervisor.rpcinterface:make_main_rpcinterface"

_NOT_RUNNING_FAULTS = frozenset({10, 70})  # BAD_NAME, NOT_RUNNING


class SupervisorError(Exception):
    """supervisord cannot be reached, or refuses; the message says why and how to mend it."""


class Specification(pydantic.BaseModel):
    """What one process is: enough to start it, to probe it, and to know it again."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    home: str
    name: str
    command: list[str]
    environment: dict[str, str]
    directory: str
    log: str
    ports: dict[str, int]
    readiness: probe.Probe
    stop_seconds: int
    digest: str = ""

    def with_digest(self, triggers: dict[str, str]) -> "Specification":
        """Give the specification its digest: it changes when the process must be restarted."""
        text = json.dumps(
            [self.command, self.environment, self.directory, self.log, triggers], sort_keys=True
        )
        return self.model_copy(update={"digest": hashlib.sha256(text.encode()).hexdigest()[:16]})

    @property
    def marker(self) -> str:
        """What marks this process among all of the machine's."""
        return launch.marker(self.home, self.name, self.digest)

    def pid(self) -> int | None:
        """Find the process itself (not the launcher that stands in for it)."""
        found = launch.find(self.marker)
        return found[0][0] if found else None


@dataclasses.dataclass(frozen=True)
class Supervision:
    """supervisord of the environment at `home`."""

    home: pathlib.Path

    @property
    def directory(self) -> pathlib.Path:
        """Where its configuration is."""
        return self.home / "supervisor"

    @property
    def configuration(self) -> pathlib.Path:
        """Its main file."""
        return self.directory / "supervisord.conf"

    @property
    def sections(self) -> pathlib.Path:
        """One `.conf` and one `.json` (the specification) for each process."""
        return self.directory / "conf.d"

    @property
    def socket(self) -> pathlib.Path:
        """The Unix socket that it listens on: under `home`, or in a short folder of the user's."""
        return paths.socket(self.directory / "supervisor.sock")

    @property
    def marker(self) -> str:
        """What marks this supervisord among all of the machine's processes."""
        return launch.marker(str(self.home), SUPERVISORD, "")

    def command(self) -> list[str]:
        """Give the command line of supervisord, its marker included."""
        return [
            "/usr/bin/env",
            f"{launch.MARKER}={self.marker}",
            sys.executable,
            "-m",
            "supervisor.supervisord",
            "--nodaemon",
            "--configuration",
            str(self.configuration),
        ]

    def proxy(self) -> supervisor_xmlrpc.SupervisorTransport:
        """Give supervisord's remote procedures."""
        transport = supervisor_xmlrpc.SupervisorTransport(serverurl=f"unix://{self.socket}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def alive(self) -> bool:
        """Say whether supervisord answers."""
        try:
            return bool(self.proxy().getState()["statename"] == "RUNNING")
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return False

    def write(self) -> None:
        """Write supervisord's own configuration and the guardian's section."""
        self.sections.mkdir(parents=True, exist_ok=True)
        launcher = launch.marker(str(self.home), "launcher", "")
        _write(
            self.configuration,
            "\n".join(
                [
                    "[unix_http_server]",
                    f"file = {_escaped(str(self.socket))}",
                    "chmod = 0700",
                    "[rpcinterface:supervisor]",
                    f"supervisor.rpcinterface_factory = {_RPC_FACTORY}",
                    "[supervisord]",
                    f"logfile = {_escaped(str(self.home / 'logs' / 'supervisord.log'))}",
                    f"pidfile = {_escaped(str(self.directory / 'supervisord.pid'))}",
                    f"childlogdir = {_escaped(str(self.home / 'logs'))}",
                    f'environment = {launch.MARKER}="{_escaped(launcher)}"',
                    *(["user = root"] if os.geteuid() == 0 else []),
                    "[include]",
                    "files = conf.d/*.conf",
                    "",
                ]
            ),
        )
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        guardian = pathlib.Path(__file__).with_name("guardian.py")
        specification = Specification(
            home=str(self.home),
            name=GUARDIAN,
            command=[sys.executable, "-I", "-S", str(guardian), *self.command()],
            environment={},
            directory=str(self.home),
            log=str(self.home / "logs" / f"{GUARDIAN}.log"),
            ports={},
            readiness=probe.TcpProbe(port=1),  # never asked: supervisord's own state tells
            stop_seconds=5,
        )
        self.write_section(specification.with_digest({}))

    def write_section(self, specification: Specification) -> None:
        """Write one process's section and specification."""
        name = specification.name
        path = self.sections / f"{name}.json"
        _write(path, specification.model_dump_json(indent=2))
        launcher = pathlib.Path(launch.__file__)
        command = shlex.join([sys.executable, "-I", "-S", str(launcher), str(path)])
        _write(
            self.sections / f"{name}.conf",
            "\n".join(
                [
                    f"[program:{name}]",
                    f"command = {_escaped(command)}",
                    "autostart = true",
                    "autorestart = true",
                    "startsecs = 1",
                    "startretries = 1000000",
                    f"stopwaitsecs = {specification.stop_seconds}",
                    f"stdout_logfile = {_escaped(str(self.home / 'logs' / f'{name}.launch.log'))}",
                    "stdout_logfile_maxbytes = 1MB",
                    "stdout_logfile_backups = 0",
                    "redirect_stderr = true",
                    "",
                ]
            ),
        )

    def remove_section(self, name: str) -> None:
        """Remove one process's section and specification."""
        for suffix in (".conf", ".json"):
            (self.sections / f"{name}{suffix}").unlink(missing_ok=True)

    def specification(self, name: str) -> Specification | None:
        """Read one process's specification back."""
        path = self.sections / f"{name}.json"
        try:
            return Specification.model_validate_json(path.read_text())
        except (FileNotFoundError, pydantic.ValidationError):
            return None

    def specifications(self) -> list[Specification]:
        """Read all specifications, the guardian's left out."""
        found = [self.specification(path.stem) for path in sorted(self.sections.glob("*.json"))]
        return [s for s in found if s is not None and s.name != GUARDIAN]

    def states(self) -> dict[str, str]:
        """Give each process's state in supervisord's words (RUNNING, BACKOFF, …)."""
        return {info["name"]: info["statename"] for info in self.proxy().getAllProcessInfo()}

    def start_daemon(self) -> None:
        """Start supervisord in a session of its own; it does not wait until it answers."""
        subprocess.Popen(
            self.command(),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.home,
        )

    def add(self, name: str) -> None:
        """Let supervisord read the sections and start one of them."""
        proxy = self.proxy()
        proxy.reloadConfig()
        proxy.addProcessGroup(name)

    def remove(self, name: str) -> None:
        """Stop one process, wait for its end, and let supervisord forget it."""
        proxy = self.proxy()
        for take_away in (proxy.stopProcess, proxy.removeProcessGroup):
            try:
                take_away(name)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode not in _NOT_RUNNING_FAULTS:
                    raise

    def leftovers(self, *names: str) -> list[psutil.Process]:
        """Find the living processes that the environment at `home` started: those of `names`, or all."""
        found = []
        for pid, marker in launch.find(f"{self.home}|"):
            if names and marker.split("|")[-2] not in names:
                continue
            try:
                found.append(psutil.Process(pid))
            except psutil.NoSuchProcess:
                continue
        return found


def end(processes: list[psutil.Process], grace_seconds: float = 10) -> None:
    """End processes: ask, wait, and kill what did not listen."""
    for process in processes:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=grace_seconds)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=grace_seconds)


def tail(path: pathlib.Path, lines: int = 15) -> str:
    """Give the last lines of a log, indented; says so where there are none."""
    try:
        text = path.read_text(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        text = []
    return "\n".join(f"    {line}" for line in text) or "    (nothing was logged)"


def _write(path: pathlib.Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def _escaped(text: str) -> str:
    """Supervisord expands `%(name)s` in values."""
    return text.replace("%", "%%")
