"""An experiment and a bandit policy of a demo's own, for as long as it runs.

Their names are new in every run: a policy begins with what its log says of its name.
What a run that was killed has left is removed by the next one.
"""

import collections.abc
import contextlib
import dataclasses
import os
import time
import typing

import httpx
import psutil

from bellwether import demos
from infra import seldon
from loadtests import endpoints
from runtimes.bandit import declaration

POLICY = "mab-demo"
EXPERIMENT = "mab-demo-experiment"
PROCESS = "bandits.bellwether.dev/demo-process"
"""The annotation that names the process whose object it is."""

TAKEN_SECONDS = 30.0
"""How long the controller may take until it follows a new policy."""

_PATIENCE = 5.0
_LOOK_SECONDS = 0.1
_NOT_FOUND = 404

Json = dict[str, typing.Any]


class Mesh:
    """The objects of a namespace, at Kubernetes' own paths."""

    def __init__(self, where: endpoints.Endpoints) -> None:
        self._client = httpx.Client(base_url=where.mesh, timeout=_PATIENCE)
        self._namespace = where.namespace

    def put(self, manifest: Json) -> None:
        """Create or replace an object; errors as in `get`."""
        self._call("PUT", self._path(manifest["kind"], manifest["metadata"]["name"]), manifest)

    def get(self, kind: str, name: str) -> Json:
        """Read an object.

        Raises:
            DemoError: nothing answers, or it is not there.

        """
        return self._call("GET", self._path(kind, name))

    def items(self, kind: str) -> list[Json]:
        """Read all objects of a kind; errors as in `get`."""
        found: list[Json] = self._call("GET", self._path(kind)).get("items") or []
        return found

    def delete(self, kind: str, name: str) -> None:
        """Delete an object, if it is there; errors as in `get`."""
        with contextlib.suppress(_Absent):
            self._call("DELETE", self._path(kind, name))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _path(self, kind: str, name: str | None = None) -> str:
        group = _GROUPS[kind]
        path = f"/apis/{group}/namespaces/{self._namespace}/{_PLURALS[kind]}"
        return path if name is None else f"{path}/{name}"

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise demos.DemoError(
                f"the mesh at {self._client.base_url} does not answer ({error}): `make up` brings "
                "the environment up, `uv run bellwether status` says what is wrong"
            ) from error
        if answer.is_success:
            found: Json = answer.json()
            return found
        said = f"the mesh answers {answer.status_code} to {method} {path}: {_message(answer)}"
        if answer.status_code == _NOT_FOUND:
            raise _Absent(f"{said}; `make up` brings the environment to what is declared")
        raise demos.DemoError(said)


class _Absent(demos.DemoError):
    """An object that is not there."""


_GROUPS = {declaration.KIND: declaration.API_VERSION, "Experiment": seldon.API_VERSION}
_PLURALS = {declaration.KIND: declaration.PLURAL, "Experiment": "experiments"}


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300] or "no reason is given"


@dataclasses.dataclass(frozen=True, slots=True)
class Own:
    """The demo's own policy and experiment."""

    mesh: Mesh
    policy: str
    experiment: str

    def status(self) -> Json:
        """Read what the controller says of the policy; empty before it says anything."""
        found: Json = self.mesh.get(declaration.KIND, self.policy).get("status") or {}
        return found

    def weights(self) -> dict[str, int]:
        """Read the experiment's weights."""
        spec = self.mesh.get("Experiment", self.experiment)["spec"]
        return {each["name"]: int(each["weight"]) for each in spec["candidates"]}


@contextlib.contextmanager
def own(
    mesh: Mesh, weights: collections.abc.Mapping[str, int], spec: declaration.BanditPolicySpec
) -> collections.abc.Iterator[Own]:
    """Create experiment and policy, and delete both at the end, whatever happens.

    `spec` is the policy's but for its experiment.

    Raises:
        DemoError: the mesh does not answer, or does not take them.

    """
    _sweep(mesh)
    run = f"{os.getpid()}-{int(time.time())}"
    mine = Own(mesh, f"{POLICY}-{run}", f"{EXPERIMENT}-{run}")
    notes = {PROCESS: str(os.getpid())}
    experiment = seldon.manifest(
        seldon.Experiment(
            metadata=seldon.ObjectMeta(name=mine.experiment, annotations=notes),
            spec=seldon.ExperimentSpec(
                candidates=tuple(
                    seldon.Candidate(name=name, weight=weight) for name, weight in weights.items()
                )
            ),
        )
    )
    policy = declaration.manifest(
        declaration.BanditPolicy(
            metadata=declaration.Metadata(name=mine.policy),
            spec=spec.model_copy(update={"experiment": mine.experiment}),
        )
    )
    policy["metadata"]["annotations"] = notes
    try:
        mesh.put(experiment)
        mesh.put(policy)
        yield mine
    finally:
        # The policy first: its controller would miss the experiment.
        mesh.delete(declaration.KIND, mine.policy)
        mesh.delete("Experiment", mine.experiment)


def wait_until_followed(mine: Own, seconds: float = TAKEN_SECONDS) -> None:
    """Wait until the controller follows the policy.

    Raises:
        DemoError: it does not, and what its status says.

    """
    deadline = time.monotonic() + seconds
    said = ""
    while True:
        status = mine.status()
        ready: Json = next(
            (each for each in status.get("conditions", []) if each["type"] == "Ready"), {}
        )
        if ready.get("status") == "True":
            return
        said = f"{ready.get('reason')}: {ready.get('message')}" if ready else ""
        if time.monotonic() > deadline:
            break
        time.sleep(_LOOK_SECONDS)  # between two looks at the status
    if said:
        raise demos.DemoError(f"the bandit's controller does not follow {mine.policy}: {said}")
    raise demos.DemoError(
        f"no controller follows {mine.policy} after {seconds:.0f} s: `make up` starts the bandit's "
        "controller, `uv run bellwether status` says whether it serves"
    )


def _sweep(mesh: Mesh) -> None:
    """Remove what runs have left whose process is no more."""
    for kind in (declaration.KIND, "Experiment"):
        for each in mesh.items(kind):
            process = (each["metadata"].get("annotations") or {}).get(PROCESS, "")
            if process.isdecimal() and not psutil.pid_exists(int(process)):
                mesh.delete(kind, each["metadata"]["name"])
