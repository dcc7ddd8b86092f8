"""buildah and runc as the engine: no daemon, no registry; root alone."""

import collections.abc
import contextlib
import json
import pathlib
import secrets
import tempfile

from bellwether.images import bundle, catalogue, debian_tools, engine, process


class Buildah:
    """Builds with buildah, runs with runc."""

    name = "buildah"

    def __init__(self) -> None:
        debian_tools.install()
        self._buildah = debian_tools.program("buildah")
        policy = debian_tools.folder() / "etc" / "containers" / "policy.json"
        self._policy = ("--signature-policy", str(policy))
        self._environment = debian_tools.environment()

    def build(self, wanted: engine.Build) -> None:
        """See `engine.Engine`."""
        command = ["bud", *self._policy, "--format", "docker", "--network", "host"]
        command += ["--pull=true" if "@sha256:" in wanted.arguments["BASE"] else "--pull-never"]
        command += ["--no-cache"] if wanted.fresh else ["--layers"]
        command += ["--file", str(wanted.dockerfile), "--tag", wanted.tag]
        for key, value in wanted.arguments.items():
            command += ["--build-arg", f"{key}={value}"]
        for key, value in wanted.labels.items():
            command += ["--label", f"{key}={value}"]
        if trusted := engine.certificates():
            command += ["--secret", f"id=certificates,src={trusted}"]
        self._run(*command, str(wanted.context), log=wanted.log)

    def identity(self, reference: str) -> str | None:
        """See `engine.Engine`."""
        listed = json.loads(self._run("images", "--no-trunc", "--json") or "[]") or []
        for each in listed:
            if reference in (each.get("names") or ()):
                return f"sha256:{str(each['id']).removeprefix('sha256:')}"
        return None

    def configuration(self, reference: str) -> engine.Configuration:
        """See `engine.Engine`."""
        found = json.loads(self._run("inspect", "--type", "image", reference))
        return engine.Configuration.read(found["Docker"]["config"])

    @contextlib.contextmanager
    def root(self, reference: str) -> collections.abc.Iterator[pathlib.Path]:
        """See `engine.Engine`."""
        container = self._run("from", *self._policy, "--pull-never", reference).strip()
        try:
            yield pathlib.Path(self._run("mount", container).strip())
        finally:
            self._run("umount", container)
            self._run("rm", container)

    @contextlib.contextmanager
    def run(self, reference: str, wanted: engine.Run) -> collections.abc.Iterator[bundle.Running]:
        """See `engine.Engine`."""
        said = self.configuration(reference)
        with (
            self.root(reference) as root,
            tempfile.TemporaryDirectory(dir=debian_tools.home()) as folder,
        ):
            document = bundle.document(root, said, wanted)
            (pathlib.Path(folder) / "config.json").write_text(json.dumps(document))
            identity = f"{wanted.name}-{secrets.token_hex(4)}"
            with bundle.running(pathlib.Path(folder), identity, wanted.log) as container:
                yield container

    def push(self, reference: str, target: str) -> str:
        """See `engine.Engine`."""
        with tempfile.TemporaryDirectory() as temporary:
            digest = pathlib.Path(temporary) / "digest"
            secure = "false" if target.startswith(("127.0.0.1:", "localhost:")) else "true"
            command = ["push", *self._policy, f"--tls-verify={secure}", "--format", "v2s2"]
            self._run(*command, "--digestfile", str(digest), reference, f"docker://{target}")
            return digest.read_text().strip()

    def add(self, archive: pathlib.Path, tag: str) -> None:
        """Make an image of a root file system's tar archive."""
        container = self._run("from", *self._policy, "scratch").strip()
        try:
            self._run("add", "--quiet", container, str(archive), "/")
            self._run("config", "--cmd", "bash", container)
            self._run("commit", *self._policy, "--quiet", "--format", "docker", container, tag)
        finally:
            self._run("rm", container)

    def clean(self) -> None:
        """Remove every image and container."""
        self._run("rm", "--all")
        self._run("rmi", "--all", "--force")

    def _run(self, *arguments: str, log: pathlib.Path | None = None) -> str:
        command = [self._buildah, *arguments]
        try:
            return process.run(command, env=self._environment, log=log)
        except catalogue.ImageError as error:
            if "unauthorized" in str(error) or "denied" in str(error):
                raise catalogue.ImageError(
                    f"{error}\nlog in first: `buildah login`, or $REGISTRY_AUTH_FILE"
                ) from error
            raise
