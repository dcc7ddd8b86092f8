"""Setting a machine up: what the local environment needs and does not find is installed once and cached."""

import collections.abc
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import rich.markup

from bellwether import deployment, steps
from infra import paths, versions
from infra.cluster import manifest
from infra.local import toolchain


class SetupError(Exception):
    """Something is missing and cannot be installed here; the message names it and the command."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One thing to install."""

    title: str
    present: collections.abc.Callable[[], bool]
    install: collections.abc.Callable[[], None]
    without: str | None = None
    """What happens without it, where nothing else depends on it; its failure is then told alone."""


def install(*, training: bool, lint: bool = False, api_server: bool = False) -> None:
    """Install what is missing, side by side, each with a line of its own.

    Args:
        training: whether the training environment (5 GB) is needed now.
        lint: whether the linter of workflows is needed now.
        api_server: whether tests will need a Kubernetes API server (some minutes to build).

    Raises:
        SetupError: something cannot be installed; the others were.

    """
    parts = [
        Part("serving environment", lambda: toolchain.complete("serving"), _environment("serving")),
        Part(
            "monitor's environment", lambda: toolchain.complete("monitor"), _environment("monitor")
        ),
        Part("Kafka", lambda: toolchain.kafka_jars().exists(), _kafka),
        Part(
            "Prometheus",
            lambda: toolchain.prometheus() is not None and toolchain.promtool() is not None,
            _debian("prometheus"),
        ),
        Part(
            "Valkey's exporter",
            lambda: toolchain.valkey_exporter() is not None,
            _debian("prometheus-redis-exporter"),
        ),
        Part("Pulumi CLI", lambda: toolchain.pulumi() is not None, _pulumi),
    ]
    if training:
        complete = lambda: toolchain.complete("training")  # noqa: E731  as the others above
        parts.insert(0, Part("training environment", complete, _environment("training")))
    if lint:
        parts.append(Part("actionlint", toolchain.actionlint().exists, _actionlint))
    if api_server:
        built = lambda: toolchain.kubernetes().exists()  # noqa: E731  as the others above
        without = "tests against an API server will be skipped"
        parts.append(Part("Kubernetes API server", built, _kubernetes, without))
    missing = [part for part in parts if not part.present()]
    if not missing:
        return
    _check_base_tools(missing)
    with (
        steps.step("toolchain") as step,
        _only_one("setup"),
        concurrent.futures.ThreadPoolExecutor(len(missing)) as pool,
    ):
        step.total(len(missing))
        running = {pool.submit(_install_once, part): part for part in missing}
        titles = [part.title for part in missing]
        step.describe(", ".join(titles))
        problems: list[str] = []
        for future in concurrent.futures.as_completed(running):
            part = running[future]
            title = part.title
            titles.remove(title)
            step.advance()
            step.describe(", ".join(titles))
            error = future.exception()
            if error is None:
                steps.console.print(f"  [green]✓[/] {title}")
            elif isinstance(error, SetupError | subprocess.CalledProcessError | OSError):
                problem = f"{title}: {_explained(error)}"
                if part.without is None:
                    problems.append(problem)
                else:
                    steps.console.print(rich.markup.escape(f"  ! {problem}\n    {part.without}"))
            else:
                raise error
        if problems:
            raise SetupError("not everything could be installed:\n" + "\n".join(problems))


def install_for_cluster() -> None:
    """Install what a cluster's stack needs on this side, if it is missing: Pulumi and its provider.

    Raises:
        SetupError: something cannot be had here.

    """
    with steps.step("Pulumi and its Kubernetes provider"), _only_one("setup"):
        try:
            if toolchain.pulumi() is None:
                _pulumi()
            if deployment.missing_provider():
                command = [str(toolchain.pulumi()), "plugin", "install", "resource", "kubernetes"]
                _run([*command, manifest.PROVIDER_VERSION])
        except (subprocess.CalledProcessError, OSError) as error:
            raise SetupError(_explained(error)) from error


def install_browser() -> None:
    """Install the browser of the browser tests, if there is none.

    Raises:
        SetupError: it cannot be had here.

    """
    if toolchain.chromium() is not None:
        return
    with steps.step("Chromium"), _only_one("setup"):
        try:
            _install_once(Part("Chromium", lambda: toolchain.chromium() is not None, _chromium))
        except (subprocess.CalledProcessError, OSError) as error:
            raise SetupError(f"Chromium: {_explained(error)}") from error


def _install_once(part: Part) -> None:
    if not part.present():  # another set-up may have brought it while this one waited
        part.install()


@contextlib.contextmanager
def _only_one(name: str) -> collections.abc.Iterator[None]:
    """Let one process at a time write into the cache; the lock goes with the process."""
    paths.cache().mkdir(parents=True, exist_ok=True)
    with (paths.cache() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_base_tools(missing: list[Part]) -> None:
    titles = {part.title for part in missing}
    go = ".".join(map(str, versions.GO_MINIMUM))
    prometheus = ".".join(map(str, versions.PROMETHEUS_MINIMUM))
    wanted = {
        "Pulumi CLI": ("go", f"Go {go} or newer, or the official pulumi {versions.PULUMI} on PATH"),
        "actionlint": ("go", f"Go {go} or newer"),
        "Kafka": ("mvn", "`apt-get install maven openjdk-17-jdk-headless`"),
        "Prometheus": ("apt-get", f"a Debian system, or Prometheus {prometheus} on PATH"),
    }
    problems = [
        f"  - `{program}` for {title}: needs {remedy}"
        for title, (program, remedy) in wanted.items()
        if title in titles and shutil.which(program) is None
    ]
    if "Pulumi CLI" in titles and shutil.which("go"):
        said = subprocess.run(
            ["go", "env", "GOVERSION"], capture_output=True, text=True, check=True
        )
        found = re.match(r"go(\d+)\.(\d+)", said.stdout)
        if found is None or (int(found[1]), int(found[2])) < versions.GO_MINIMUM:
            problems.append(
                f"  - Go {go} or newer for the Pulumi CLI: `go` is {said.stdout.strip()}"
            )
    if shutil.which("java") is None:
        problems.append("  - `java` for Kafka: `apt-get install openjdk-17-jre-headless`")
    if problems:
        raise SetupError("missing programs:\n" + "\n".join(problems))


def _environment(group: str) -> collections.abc.Callable[[], None]:
    def install() -> None:
        folder = toolchain.environment(group)
        command = [toolchain.uv(), "sync", "--quiet", "--frozen", "--no-install-project"]
        command += ["--compile-bytecode", "--no-default-groups", "--group", group]
        _run(command, cwd=paths.ROOT, UV_PROJECT_ENVIRONMENT=str(folder))
        (folder / ".complete").touch()

    return install


def _kafka() -> None:
    with _finished_folder(toolchain.kafka_jars().parent) as folder:
        command = ["mvn", "-q", "-B", "-f", str(paths.ROOT / "tools" / "pom.xml")]
        _run([*command, "dependency:copy-dependencies", f"-DoutputDirectory={folder / 'lib'}"])


def _pulumi() -> None:
    module = "github.com/pulumi/pulumi"
    version = f"-X {module}/sdk/v3/go/common/version.Version=v{versions.PULUMI}"
    with _finished_folder(toolchain.built_pulumi().parent.parent) as folder:
        command = ["go", "build", "-trimpath", "-ldflags", f"-s -w {version}"]
        command += ["-o", str(folder / "bin" / "pulumi"), f"{module}/pkg/v3/cmd/pulumi"]
        _run(command, cwd=paths.ROOT / "tools", GOFLAGS="-mod=readonly")


def _actionlint() -> None:
    with _finished_folder(toolchain.actionlint().parent.parent) as folder:
        command = ["go", "build", "-trimpath", "-ldflags", "-s -w"]
        command += ["-o", str(folder / "bin" / "actionlint")]
        command += ["github.com/rhysd/actionlint/cmd/actionlint"]
        _run(command, cwd=paths.ROOT / "tools" / "actionlint", GOFLAGS="-mod=readonly")


def _kubernetes() -> None:
    """Build the API server with its version, which clients ask for, and the etcd that it is made for."""
    pins = paths.ROOT / "tools" / "kubernetes"
    listed = subprocess.run(
        ["go", "list", "-mod=readonly", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes"],
        cwd=pins,
        capture_output=True,
        text=True,
        check=True,
    )
    version = listed.stdout.strip()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    told = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    names = " ".join(
        f"-X k8s.io/component-base/version.{key}={value}" for key, value in told.items()
    )
    with _finished_folder(toolchain.kubernetes().parent) as folder:
        for name, package in (
            ("etcd", "go.etcd.io/etcd/server/v3"),
            ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        ):
            command = ["nice", "go", "build", "-trimpath", "-ldflags", f"-s -w {names}"]
            command += ["-o", str(folder / "bin" / name), package]
            _run(command, cwd=pins, GOFLAGS="-mod=readonly", CGO_ENABLED="0")


def _debian(package: str) -> collections.abc.Callable[[], None]:
    def install() -> None:
        with tempfile.TemporaryDirectory() as temporary:
            command = ["apt-get", "-o", "APT::Sandbox::User=root", "download", "-q", package]
            try:
                _run(command, cwd=pathlib.Path(temporary))
            except subprocess.CalledProcessError:
                # A fresh machine has no package lists yet; fetching them needs root.
                _run([*_as_root(package), "apt-get", "update", "-q"])
                _run(command, cwd=pathlib.Path(temporary))
            archive = next(pathlib.Path(temporary).glob("*.deb"))
            toolchain.debian_folder().mkdir(parents=True, exist_ok=True)
            _run(["dpkg-deb", "-x", str(archive), str(toolchain.debian_folder())])

    return install


def _chromium() -> None:
    """Unpack Chromium beside the system, with what apt would install for it, and a font."""
    wanted = ["chromium", "fonts-inter"]
    asked = ["apt-get", "-o", "Debug::NoLocking=true", "install", "-y", "--no-install-recommends"]
    asked += ["--print-uris", *wanted]
    try:
        listed = _run(asked)
    except subprocess.CalledProcessError:
        _run([*_as_root(" ".join(wanted)), "apt-get", "update", "-q"])
        listed = _run(asked)
    packages = re.findall(r"^'\S+' ([^_\s]+)_\S*\.deb ", listed, flags=re.MULTILINE)
    if "chromium" not in packages:
        raise SetupError(
            "Chromium: the package `chromium` is installed, but no `chromium` is on PATH"
        )
    download = ["apt-get", "-o", "APT::Sandbox::User=root", "download", "-q", *packages]
    with (
        tempfile.TemporaryDirectory() as temporary,
        _finished_folder(toolchain.chromium_folder()) as folder,
    ):
        _run(download, cwd=pathlib.Path(temporary))
        for archive in sorted(pathlib.Path(temporary).glob("*.deb")):
            _run(["dpkg-deb", "-x", str(archive), str(folder)])


def _as_root(package: str) -> list[str]:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        return ["sudo", "-n"]
    raise SetupError(f"run as root: `apt-get update && apt-get install {package}`")


@contextlib.contextmanager
def _finished_folder(target: pathlib.Path) -> collections.abc.Iterator[pathlib.Path]:
    """Give a temporary folder that becomes `target` once all went well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as temporary:
        folder = pathlib.Path(temporary) / target.name
        folder.mkdir()
        yield folder
        if not target.exists():
            folder.rename(target)


def _run(command: list[str], cwd: pathlib.Path | None = None, **environment: str) -> str:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def _explained(error: BaseException) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        said = re.sub(r"\s+\n", "\n", f"{error.stderr or ''}{error.stdout or ''}").strip()
        last = "\n".join(f"    {line}" for line in said.splitlines()[-8:])
        return f"`{' '.join(map(str, error.cmd))}` failed with {error.returncode}:\n{last}"
    return str(error)
