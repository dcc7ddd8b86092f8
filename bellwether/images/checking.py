"""Trying an image: its runtime is started as a pod is, looked at from inside, and asked."""

import dataclasses
import pathlib
import tempfile

from bellwether import steps
from bellwether.images import building, catalogue, engine, trials, trials_of_steps
from infra import paths
from loadtests import bandit_parts

TRIALS = {
    "predictor": trials_of_steps.predictor,
    "features": trials_of_steps.features,
    "guard": trials_of_steps.guard,
    "router": trials.router,
    "explainer": trials_of_steps.explainer,
    "decision": trials_of_steps.decision,
    "bandit": trials_of_steps.bandit,
}
"""What each image is asked."""

_MODULES = """
import importlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
for path in sorted((root / "runtimes" / sys.argv[2]).rglob("*.py")):
    if path.name != "__main__.py":
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        importlib.import_module(name)
        print(name)
"""


@dataclasses.dataclass(frozen=True)
class Checked:
    """One image that answered."""

    name: str
    reference: str
    seconds: float
    """From the container's start to the answer."""
    asked: str
    answer: str
    user: int
    read_only: bool
    capabilities: str
    """Of the process, hexadecimal."""
    new_privileges: bool
    modules: int
    """Modules of its own that were imported."""


@dataclasses.dataclass(frozen=True, slots=True)
class Inside:
    """What a container's first process is, as Linux tells it."""

    user: int
    read_only: bool
    capabilities: str
    new_privileges: bool


def check(on: engine.Engine, made: building.Built) -> Checked:
    """Run an image's trial.

    Raises:
        catalogue.ImageError: it does not start, may more than it has to, or answers wrongly.

    """
    seen: list[Inside] = []

    def inspect(container: engine.Container, *, health: bool = True) -> None:
        seen.append(looked_into(container, made.reference))
        if health:
            _healthy(container, on.configuration(made.reference))

    parent = paths.home() / "images"
    parent.mkdir(parents=True, exist_ok=True)
    with (
        steps.step(f"check {made.name}") as step,
        tempfile.TemporaryDirectory(dir=parent) as folder,
    ):
        pathlib.Path(folder).chmod(0o755)  # whoever the image runs as reads it
        bench = trials.Bench(on, made.reference, pathlib.Path(folder), inspect)
        modules = _imported(bench, made.name)
        try:
            answer = TRIALS[made.name](bench)
        except bandit_parts.PartsError as error:
            raise catalogue.ImageError(
                f"the servers that {made.name} is tried beside do not come up: {error}"
            ) from error
        step.note = f"answered {answer.seconds:.1f} s after its start"
    if not seen:
        raise RuntimeError(f"the trial of {made.name} serves nothing")
    return Checked(
        made.name, made.reference, round(answer.seconds, 2), answer.asked, answer.answer,
        **dataclasses.asdict(seen[-1]), modules=modules,
    )  # fmt: skip


def looked_into(container: engine.Container, reference: str) -> Inside:
    """Read who runs in a container and what it may; try to write.

    Raises:
        catalogue.ImageError: it is root, may write its root, or has capabilities.

    """
    status = dict(
        line.split(":", 1) for line in _said(container, "cat", "/proc/1/status").splitlines()
    )
    mounts = [line.split() for line in _said(container, "cat", "/proc/1/mountinfo").splitlines()]
    (options,) = [fields[5] for fields in mounts if fields[4] == "/"]
    users = {int(each) for each in status["Uid"].split()}
    found = Inside(
        max(users),
        "ro" in options.split(","),
        status["CapEff"].strip(),
        status["NoNewPrivs"].strip() != "1",
    )
    written = container.execute("touch", "/opt/bellwether/written").returncode == 0
    if users != {catalogue.USER} or not found.read_only or written or found.new_privileges:
        raise catalogue.ImageError(
            f"{reference} may more than it has to: {found}, wrote: {written}"
        )
    if int(found.capabilities, 16):
        raise catalogue.ImageError(f"{reference} has capabilities: {found.capabilities}")
    return found


def _healthy(container: engine.Container, said: engine.Configuration) -> None:
    asked = container.execute(*said.health)
    if asked.returncode:
        raise catalogue.ImageError(
            f"it serves, and its HEALTHCHECK fails: {asked.stderr.strip()[-1000:]}"
        )


def _said(container: engine.Container, *command: str) -> str:
    done = container.execute(*command)
    if done.returncode:
        raise catalogue.ImageError(f"`{' '.join(command)}` inside: {done.stderr.strip()}")
    return done.stdout


def _imported(bench: trials.Bench, name: str) -> int:
    """Import every module of a runtime inside its image: nothing that it needs may be missing."""
    command = ("python", "-c", _MODULES, f"/{catalogue.CODE}", name)
    with bench.container("modules", "modules", command=command) as container:
        status = container.wait(trials.PATIENCE)
    log = (bench.folder / "modules.log").read_text(errors="replace")
    if status:
        raise catalogue.ImageError(
            f"{bench.reference}: not all of its code imports:\n{log[-3000:]}"
        )
    return sum(line.startswith("runtimes.") for line in log.splitlines())
