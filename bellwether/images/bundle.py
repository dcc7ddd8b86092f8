"""A container of runc's: its configuration, hardened as a pod's is, and its life.

The form is the OCI runtime specification's, https://github.com/opencontainers/runtime-spec.
"""

import collections.abc
import contextlib
import dataclasses
import pathlib
import subprocess
import typing

from bellwether.images import debian_tools, engine

_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")
_MASKED = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware")
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_GRACE_SECONDS = 20


def document(
    root: pathlib.Path, said: engine.Configuration, wanted: engine.Run
) -> dict[str, typing.Any]:
    """Write the configuration: read-only root, no capabilities, no new privileges, /tmp to write in."""
    environment = [
        *said.environment,
        *(f"{key}={value}" for key, value in wanted.environment.items()),
    ]
    return {
        "ociVersion": "1.0.2",
        "root": {"path": str(root), "readonly": True},
        "hostname": wanted.name,
        "process": {
            "terminal": False,
            "user": {"uid": wanted.user, "gid": wanted.user},
            "args": list(wanted.command or said.command),
            "env": environment,
            "cwd": said.folder,
            "capabilities": {each: [] for each in _SETS},
            "noNewPrivileges": True,
        },
        "mounts": [
            _mount("/proc", "proc", "proc"),
            _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
            _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
            _mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance"),
            _mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777"),  # noqa: S108  inside
            _mount("/tmp", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777", "size=64m"),  # noqa: S108  inside
            *(
                _mount(each, "bind", each, "rbind", "ro")
                for each in ("/etc/hosts", "/etc/resolv.conf")
            ),
            *(_mount(to, "bind", str(of), "rbind", "ro") for of, to in wanted.mounts.items()),
            *(_mount(to, "bind", str(of), "rbind", "rw") for of, to in wanted.scratch.items()),
        ],
        "linux": {
            # The network is this machine's: what is asked answers at 127.0.0.1.
            "namespaces": [{"type": each} for each in ("pid", "ipc", "uts", "mount")],
            "maskedPaths": list(_MASKED),
            "readonlyPaths": list(_READ_ONLY),
        },
    }


def _mount(to: str, kind: str, of: str, *options: str) -> dict[str, typing.Any]:
    return {"destination": to, "type": kind, "source": of, "options": list(options)}


@dataclasses.dataclass(frozen=True)
class Running:
    """A container that runs; see `engine.Container`."""

    runc: tuple[str, ...]
    identity: str
    process: subprocess.Popen[bytes]

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """See `engine.Container`."""
        return subprocess.run(
            [*self.runc, "exec", self.identity, *command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def ended(self) -> int | None:
        """See `engine.Container`."""
        return self.process.poll()

    def wait(self, seconds: float) -> int:
        """See `engine.Container`."""
        return self.process.wait(seconds)


@contextlib.contextmanager
def running(
    folder: pathlib.Path, identity: str, log: pathlib.Path
) -> collections.abc.Iterator[Running]:
    """Run the bundle in `folder` until the block ends."""
    runc = (debian_tools.program("runc"), "--root", str(debian_tools.home() / "runc"))
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*runc, "run", "--bundle", str(folder), identity],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield Running(runc, identity, process)
    finally:
        if process.poll() is None:
            subprocess.run([*runc, "kill", identity, "TERM"], capture_output=True, check=False)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_SECONDS)
        subprocess.run([*runc, "delete", "--force", identity], capture_output=True, check=False)
        process.wait(_GRACE_SECONDS)
