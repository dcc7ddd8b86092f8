"""docker or podman as the engine."""

import collections.abc
import contextlib
import dataclasses
import json
import pathlib
import secrets
import subprocess
import tempfile

from bellwether.images import catalogue, engine, process

_SCRATCH = "/tmp:mode=1777,size=64m"  # noqa: S108  inside the container


@dataclasses.dataclass(frozen=True)
class Running:
    """A container that runs; see `engine.Container`."""

    program: str
    identity: str
    process: subprocess.Popen[bytes]

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """See `engine.Container`."""
        return subprocess.run(
            [self.program, "exec", self.identity, *command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def ended(self) -> int | None:
        """See `engine.Container`."""
        return self.process.poll()

    def wait(self, seconds: float) -> int:
        """See `engine.Container`."""
        return self.process.wait(seconds)


class Docker:
    """Calls the engine's command line, which docker and podman have in common."""

    def __init__(self, name: str) -> None:
        self.name = name

    def build(self, wanted: engine.Build) -> None:
        """See `engine.Engine`."""
        process.run(self.build_command(wanted), log=wanted.log)

    def build_command(self, wanted: engine.Build) -> list[str]:
        """Give the command line of a build."""
        command = [self.name, "build", "--network", "host"]
        command += ["--no-cache"] if wanted.fresh else []
        command += ["--format", "docker"] if self.name == "podman" else ["--provenance=false"]
        command += ["--file", str(wanted.dockerfile), "--tag", wanted.tag]
        for key, value in wanted.arguments.items():
            command += ["--build-arg", f"{key}={value}"]
        for key, value in wanted.labels.items():
            command += ["--label", f"{key}={value}"]
        if trusted := engine.certificates():
            command += ["--secret", f"id=certificates,src={trusted}"]
        return [*command, str(wanted.context)]

    def identity(self, reference: str) -> str | None:
        """See `engine.Engine`."""
        asked = subprocess.run(
            [self.name, "image", "inspect", reference], capture_output=True, text=True, check=False
        )
        if asked.returncode:
            return None
        found = str(json.loads(asked.stdout)[0]["Id"])
        return found if found.startswith("sha256:") else f"sha256:{found}"

    def configuration(self, reference: str) -> engine.Configuration:
        """See `engine.Engine`."""
        found = json.loads(process.run([self.name, "image", "inspect", reference]))[0]
        health = {"Healthcheck": found.get("Healthcheck")} if found.get("Healthcheck") else {}
        return engine.Configuration.read({**health, **found["Config"]})

    @contextlib.contextmanager
    def root(self, reference: str) -> collections.abc.Iterator[pathlib.Path]:
        """See `engine.Engine`."""
        container = process.run([self.name, "create", reference]).strip()
        try:
            with tempfile.TemporaryDirectory() as temporary:
                archive = pathlib.Path(temporary) / "root.tar"
                process.run([self.name, "export", "--output", str(archive), container])
                into = pathlib.Path(temporary) / "root"
                into.mkdir()
                unpack = ["tar", "--extract", "--file", str(archive), "--directory", str(into)]
                # Devices need root, and are no part of what is looked at.
                process.run([*unpack, "--no-same-owner", "--exclude=dev/*"])
                archive.unlink()
                yield into
        finally:
            process.run([self.name, "rm", "--force", container])

    @contextlib.contextmanager
    def run(self, reference: str, wanted: engine.Run) -> collections.abc.Iterator[Running]:
        """See `engine.Engine`."""
        identity = f"{wanted.name}-{secrets.token_hex(4)}"
        with wanted.log.open("wb") as out:
            running = subprocess.Popen(
                self.run_command(reference, identity, wanted),
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            yield Running(self.name, identity, running)
        finally:
            if running.poll() is None:
                process.run([self.name, "stop", identity])
            running.wait(30)

    def run_command(self, reference: str, identity: str, wanted: engine.Run) -> list[str]:
        """Give the command line that runs a container."""
        command = [self.name, "run", "--rm", "--name", identity, "--network", "host", "--read-only"]
        command += ["--user", f"{wanted.user}:{wanted.user}", "--cap-drop", "ALL"]
        command += ["--security-opt", "no-new-privileges", "--tmpfs", _SCRATCH]
        for key, value in wanted.environment.items():
            command += ["--env", f"{key}={value}"]
        for of, to in wanted.mounts.items():
            command += ["--volume", f"{of}:{to}:ro"]
        for of, to in wanted.scratch.items():
            command += ["--volume", f"{of}:{to}"]
        return [*command, reference, *wanted.command]

    def push(self, reference: str, target: str) -> str:
        """See `engine.Engine`."""
        process.run([self.name, "tag", reference, target])
        process.run([self.name, "push", target])
        found = json.loads(process.run([self.name, "image", "inspect", target]))[0]
        repository = target.rpartition(":")[0]
        for each in found.get("RepoDigests") or ():
            name, _, digest = each.partition("@")
            if name == repository:
                return str(digest)
        raise catalogue.ImageError(f"{self.name} does not say under which digest {target} is there")
