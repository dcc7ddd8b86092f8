"""What every part of the local environment does right now, asked from the parts themselves."""

import datetime as dt
import pathlib
import typing

import httpx
import psutil
import pydantic
import rich.box
import rich.table

from bellwether import environment
from infra import seldon, settings
from infra.local import supervision
from infra.local.provider import process
from runtimes.bandit import declaration

_LISTED = (
    *((seldon.API_VERSION, plural) for plural in ("servers", "models", "pipelines", "experiments")),
    (declaration.API_VERSION, declaration.PLURAL),
)
"""Which objects are shown, in which order."""

_COLOURS = {"serving": "green", "starting": "yellow", "down": "red"}
_SHOWN_PORT = {
    "kafka": "kafka",
    "valkey": "valkey",
    "valkey-exporter": "valkey_metrics",
    "model-server": "model_server",
    "mesh": "mesh",
    "gateway": "gateway",
    "prometheus": "prometheus",
    "drift": "drift",
    "bandit": "bandit",
    "monitor": "monitor",
    "console": "console",
    "feature-stream": "feature_stream",
}


class Component(pydantic.BaseModel):
    """One process of the environment."""

    component: str
    address: str
    state: process.State
    since: dt.datetime | None
    pid: int | None
    memory_mb: float | None
    log: str


class Object(pydantic.BaseModel):
    """One Seldon object of the mesh."""

    kind: str
    name: str
    ready: bool
    detail: str


class Status(pydantic.BaseModel):
    """The environment as a whole."""

    stack: str
    serving: bool
    components: list[Component]
    objects: list[Object]


def read(stack: environment.Stack) -> Status:
    """Ask every part."""
    ports = stack.settings().ports
    supervision_ = supervision.Supervision(stack.home)
    components = [_supervisor(supervision_)]
    components += [_component(s, ports) for s in supervision_.specifications()]
    objects = _objects(stack, ports)
    whole = all(c.state == "serving" for c in components) and all(o.ready for o in objects)
    return Status(
        stack=stack.name,
        serving=whole and len(components) > 1 and bool(objects),
        components=components,
        objects=objects,
    )


def table(status: Status) -> rich.console.Group:
    """Draw it for a person."""
    processes = rich.table.Table(
        title=f"environment `{status.stack}`", title_justify="left", box=rich.box.SIMPLE_HEAD
    )
    for heading in ("component", "address", "state", "since", "memory", "log"):
        processes.add_column(heading, overflow="fold")
    for component in status.components:
        processes.add_row(
            component.component,
            component.address,
            f"[{_COLOURS[component.state]}]{component.state}",
            component.since.strftime("%d %b %H:%M:%S") if component.since else "–",
            f"{component.memory_mb:.0f} MB" if component.memory_mb else "–",
            _relative(component.log),
        )
    objects = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for heading in ("kind", "name", "ready", "detail"):
        objects.add_column(heading, overflow="fold")
    for item in status.objects:
        objects.add_row(
            item.kind, item.name, "[green]yes" if item.ready else "[red]no", item.detail
        )
    return rich.console.Group(processes, objects)


def _supervisor(supervision_: supervision.Supervision) -> Component:
    found = supervision_.leftovers(supervision.SUPERVISORD)
    serving = supervision_.alive()
    state: process.State = "serving" if serving else ("starting" if found else "down")
    return _described(
        supervision.SUPERVISORD,
        "",
        state,
        found[0] if found else None,
        supervision_.home / "logs" / "supervisord.log",
    )


def _component(specification: supervision.Specification, ports: settings.Ports) -> Component:
    state, found = process.state(specification)
    shown = _SHOWN_PORT.get(specification.name)
    address = f"127.0.0.1:{getattr(ports, shown)}" if shown else ""
    log = pathlib.Path(specification.log)
    return _described(specification.name, address, state, found, log)


def _described(
    name: str, address: str, state: process.State, found: psutil.Process | None, log: pathlib.Path
) -> Component:
    try:
        since = dt.datetime.fromtimestamp(found.create_time()).astimezone() if found else None
        memory = found.memory_info().rss / 2**20 if found else None
    except psutil.NoSuchProcess:
        state, found, since, memory = "down", None, None, None
    return Component(
        component=name,
        address=address,
        state=state,
        since=since,
        pid=found.pid if found else None,
        memory_mb=memory,
        log=str(log),
    )


def _objects(stack: environment.Stack, ports: settings.Ports) -> list[Object]:
    namespace = stack.settings().namespace
    apis = f"http://127.0.0.1:{ports.mesh}/apis"
    found = []
    try:
        with httpx.Client(timeout=5) as client:
            for api_version, plural in _LISTED:
                address = f"{apis}/{api_version}/namespaces/{namespace}/{plural}"
                listed = client.get(address).raise_for_status().json()
                found += [_object(item) for item in listed["items"]]
    except httpx.HTTPError:
        return []  # the mesh's own line says that it is down
    return found


def _object(item: dict[str, typing.Any]) -> Object:
    conditions = (item.get("status") or {}).get("conditions") or []
    ready = next((c for c in conditions if c["type"] == "Ready"), None)
    is_ready = ready is not None and ready["status"] == "True"
    detail = ""
    if not is_ready:
        detail = (ready or {}).get("message") or "not looked at yet"
    elif item["kind"] == "Experiment":
        detail = ", ".join(f"{c['name']} {c['weight']}" for c in item["spec"]["candidates"])
    elif item["kind"] == "BanditPolicy":
        shown = item["status"]
        detail = f"{shown.get('mode')}, epoch {shown.get('epoch')}: {(ready or {}).get('message')}"
    elif item["kind"] == "Pipeline":
        detail = f"{len(item['spec']['steps'])} steps"
    elif item["kind"] == "Model":
        detail = item["spec"]["storageUri"].rpartition("/")[2][:19]
    return Object(kind=item["kind"], name=item["metadata"]["name"], ready=is_ready, detail=detail)


def _relative(path: str) -> str:
    try:
        return str(pathlib.Path(path).relative_to(pathlib.Path.cwd()))
    except ValueError:
        return path
