"""An experiment whose weights a bandit policy moves, at a server with the mesh's rules."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from infra.local.mesh.objects import Objects
from infra.local.mesh.refusal import Refusal
from infra.local.mesh.store import Store
from infra.local.provider import seldon_object

DECLARED = {"a": 40, "b": 60}


class Follower:
    def changed(self, resource: Any) -> None: ...

    def removed(self, resource: Any) -> None: ...

    def status(self, resource: Any) -> dict[str, Any]:
        return {
            "observedGeneration": resource.metadata.generation,
            "conditions": [{"type": "Ready", "status": "True"}],
        }


@pytest.fixture
def mesh(tmp_path) -> Iterator[tuple[Objects, str]]:
    made: dict[str, Any] = {}
    ready = threading.Event()

    def serve() -> None:  # the objects belong to one thread
        store = Store(tmp_path / "mesh.sqlite3")
        objects = Objects(store, "desk", ())
        objects.follow(Follower())

        class Pages(http.server.BaseHTTPRequestHandler):
            def _answer(self, act: Any) -> None:
                try:
                    code, body = 200, act()
                except Refusal as refused:
                    code, body = refused.code, refused.body()
                content = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def _name(self) -> str:
                return self.path.rpartition("/")[2]

            def do_GET(self) -> None:
                self._answer(lambda: objects.get("experiments", self._name()))

            def do_PUT(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer(lambda: objects.replace("experiments", self._name(), body)[0])

            def log_message(self, *_: object) -> None: ...

        server = http.server.HTTPServer(("127.0.0.1", 0), Pages)
        made.update(server=server, objects=objects)
        ready.set()
        server.serve_forever(poll_interval=0.01)
        server.server_close()
        store.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(10)
    yield made["objects"], f"http://127.0.0.1:{made['server'].server_port}"
    made["server"].shutdown()
    thread.join()


def _inputs(endpoint: str, weights: dict[str, int], **more: Any) -> Any:
    candidates = [{"name": name, "weight": weight} for name, weight in weights.items()]
    manifest = {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": "e", "namespace": "desk"},
        "spec": {"candidates": candidates, **more},
    }
    return seldon_object.SeldonObjectInputs(endpoint=endpoint, manifest=manifest, keep_weights=True)


def _live(handler: Any, inputs: Any) -> dict[str, int]:
    plain = inputs.model_copy(update={"keep_weights": False})
    spec = handler.read(plain)["manifest"]["spec"]
    return {each["name"]: each["weight"] for each in spec["candidates"]}


def _move(handler: Any, endpoint: str, **weights: int) -> None:
    moved = _inputs(endpoint, weights).model_copy(update={"keep_weights": False})
    handler.create(moved, 5)


def test_a_moved_split_is_no_change_and_survives_another_one(mesh):
    _, endpoint = mesh
    handler, declared = seldon_object.SeldonObjectHandler(), _inputs(endpoint, DECLARED)
    handler.create(declared, 5)
    assert _live(handler, declared) == DECLARED
    _move(handler, endpoint, b=9000, a=1000)
    assert handler.read(declared)["manifest"] == declared.manifest
    wanted = _inputs(endpoint, DECLARED, default="a")
    handler.update(declared, wanted, 5)
    assert _live(handler, declared) == {"b": 9000, "a": 1000}
    assert handler.read(wanted)["manifest"] == wanted.manifest


def test_other_candidates_are_deployed_as_they_are_declared(mesh):
    _, endpoint = mesh
    handler, declared = seldon_object.SeldonObjectHandler(), _inputs(endpoint, DECLARED)
    handler.create(declared, 5)
    _move(handler, endpoint, a=1000, b=9000)
    wanted = _inputs(endpoint, {"a": 1, "b": 1, "c": 2})
    handler.update(declared, wanted, 5)
    assert _live(handler, declared) == {"a": 1, "b": 1, "c": 2}
    _move(handler, endpoint, a=1)
    assert handler.read(wanted)["manifest"] != wanted.manifest
