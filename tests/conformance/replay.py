"""Replays what was recorded from a real Seldon, and says what comes out differently.

The versions that models have here stand in for those of the recording (`mul10_1`).
Where a recorded answer came from one arm of a split, the request is sent until that arm answers.
"""

import collections
import json
import math
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance import apply
from tests.conformance.environment import Environment

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "conformance"

JsonObject = dict[str, Any]

_TRIES_FOR_AN_ARM = 400
_SIGMAS = 4.5
"""A right split is further off than this once in 150,000 counts."""

_REPLICAS = re.compile(r"\b([a-z][a-z0-9-]*)_(\d+)\b")


@dataclass(frozen=True)
class Deviation:
    """One thing that came out differently: `aspect` is status, body, header <name>, outcome…"""

    recording: str
    step: str
    aspect: str
    recorded: str
    seen: str


def recording(name: str) -> JsonObject:
    """Read a recording; skips the test where it is not there."""
    path = RECORDINGS / f"{name}.json"
    if not path.exists():
        pytest.skip(f"{path} is not there: the recordings are not part of this repository")
    found: JsonObject = json.loads(path.read_text())
    return found


class Replay:
    """Replays one recording against an environment that serves its models."""

    def __init__(
        self,
        name: str,
        environment: Environment,
        applier: apply.Applier,
        artifacts: dict[str, str],
    ) -> None:
        self._name = name
        self._applier = applier
        self._artifacts = artifacts
        self._client = httpx.Client(base_url=environment.gateway_url, timeout=60)
        self._versions: dict[str, int] = {}
        self._weights: dict[str, dict[str, int]] = {}
        self._defaults: dict[str, str] = {}

    def run(self) -> list[Deviation]:
        """Replay all steps in order, from a state with the recording's models and nothing else."""
        self._clean()
        found: list[Deviation] = []
        try:
            for step in recording(self._name)["steps"]:
                for model in self._needed(step):
                    self._serve(model)
                found.extend(self._step(step))
        finally:
            self._clean()
        return found

    def _clean(self) -> None:
        """Remove what the recording's steps make, and nothing else."""
        steps = recording(self._name)["steps"]
        made = {(step.get("object") or step.get("request") or {}).get("name") for step in steps}
        for plural, ours in (("experiments", made), ("models", set(self._artifacts))):
            for name in self._applier.names(plural):
                if name in ours:
                    self._applier.delete(plural, name)

    def _needed(self, step: JsonObject) -> list[str]:
        """Name the models that a step mentions and that are not served yet."""
        text = json.dumps(step)
        return [
            name
            for name in self._artifacts
            if name not in self._versions and re.search(rf"\b{name}\b", text)
        ]

    def _serve(self, name: str) -> None:
        outcome = self._applier.apply(apply.model(name, self._artifacts[name]))
        assert outcome.accepted, outcome
        body = {"inputs": [{"name": "INPUT", "shape": [1], "datatype": "FP32", "data": [1]}]}
        if name in {"bad", "boom"}:  # a call would be counted: the first version is theirs
            self._versions[name] = self._first_version(name)
            return
        response = self._client.post(f"/v2/models/{name}/infer", json=body)
        assert response.status_code == 200, response.text
        self._versions[name] = int(response.headers["x-seldon-route"].strip(":").rsplit("_", 1)[1])

    def _first_version(self, name: str) -> int:
        route = self._client.get(f"/v2/models/{name}/ready").headers["x-seldon-route"]
        return int(route.strip(":").rsplit("_", 1)[1])

    def _step(self, step: JsonObject) -> Iterator[Deviation]:
        kind = step.get("kind", "exchange")
        if kind == "exchange":
            yield from self._exchange(step)
        elif kind == "count":
            yield from self._count(step)
        elif kind == "setup":
            yield from self._setup(step["note"], step["object"], "OK", "")
        elif kind == "rpc":
            yield from self._rpc(step)
        elif kind == "observation":
            yield from self._observation(step)
        else:
            raise AssertionError(f"{self._name}: a step of unknown kind {kind}")

    def _deviation(self, step: str, aspect: str, recorded: object, seen: object) -> Deviation:
        return Deviation(self._name, step, aspect, _text(recorded), _text(seen))

    # Objects.

    def _setup(self, step: str, spec: JsonObject, code: str, message: str) -> Iterator[Deviation]:
        name = spec["name"]
        candidates = [_pair(each) for each in spec["candidates"]]
        mirror = _pair(spec["mirror"]) if spec.get("mirror") else None
        default = spec.get("default")
        outcome = self._applier.apply(apply.experiment(name, candidates, default, mirror))
        if outcome.accepted:
            self._weights[f"{name}.experiment"] = dict(candidates)
            self._defaults = {at: of for at, of in self._defaults.items() if of != name}
            if default:
                self._defaults[default] = name
        yield from self._outcome(step, outcome, code, message)

    def _rpc(self, step: JsonObject) -> Iterator[Deviation]:
        name, request = step["name"], step["request"]
        if name.startswith("StartExperiment"):
            yield from self._setup(name, request, step["code"], step["message"])
        elif name.startswith("StopExperiment"):
            outcome = self._applier.delete("experiments", request["name"])
            self._weights.pop(f"{request['name']}.experiment", None)
            self._defaults = {at: of for at, of in self._defaults.items() if of != request["name"]}
            yield from self._outcome(name, outcome, step["code"], step["message"])
        else:
            raise AssertionError(f"{self._name}: a call of unknown kind {name}")

    def _outcome(
        self, step: str, outcome: apply.Outcome, code: str, message: str
    ) -> Iterator[Deviation]:
        if outcome.accepted != (code == "OK"):
            seen = "OK" if outcome.accepted else f"refused: {outcome.message}"
            yield self._deviation(step, "outcome", code, seen)
        elif code != "OK" and outcome.message != message:
            yield self._deviation(step, "message", message, outcome.message)

    def _observation(self, step: JsonObject) -> Iterator[Deviation]:
        (recorded,) = step["value"]
        status = self._applier.status("experiments", recorded["experimentName"])
        seen = {
            field: apply.condition(status, kind)["status"] == "True"
            for field, kind in (
                ("active", "ExperimentReady"),
                ("candidatesReady", "CandidatesReady"),
                ("mirrorReady", "MirrorReady"),
            )
        }
        for field, value in seen.items():
            if recorded.get(field, False) != value:
                yield self._deviation(step["name"], field, recorded.get(field, False), value)
        said = apply.condition(status, "ExperimentReady")
        if recorded["statusDescription"] not in {said["message"], said["reason"]}:
            yield self._deviation(
                step["name"], "description", recorded["statusDescription"], said["message"]
            )

    # Requests.

    def _exchange(self, step: JsonObject) -> Iterator[Deviation]:
        recorded = step["response"]
        headers = dict(recorded["headers"])
        request = step["request"]
        response = self._send(request)
        wanted = headers.get("x-seldon-route")
        arms = {f":{self._recorded_name(each)}:" for each in self._arms(request)}
        if wanted in arms and len(arms) > 1:
            for _ in range(_TRIES_FOR_AN_ARM):
                if self._translated(response.headers.get("x-seldon-route", "")) == wanted:
                    break
                response = self._send(request)
        name = step["name"]
        if response.status_code != recorded["status"]:
            yield self._deviation(name, "status", recorded["status"], response.status_code)
        for header, value in headers.items():
            seen = response.headers.get(header)
            if not self._header_fits(header, value, seen, request, response):
                yield self._deviation(name, f"header {header}", value, seen)
        body: object = self._translated(response.text)
        if isinstance(recorded["body"], dict) and body:
            body = _without_chance(json.loads(str(body)), recorded["body"])
        if body != recorded["body"]:
            yield self._deviation(name, "body", recorded["body"], body)

    def _header_fits(
        self, header: str, recorded: str, seen: str | None, request: JsonObject, response: Any
    ) -> bool:
        if seen is None:
            return False
        if header == "x-request-id":
            return seen == recorded if header in request["headers"] else bool(seen)
        if header in {"ce-id", "ce-requestid"} and "id" not in request["body"]:
            return bool(seen == response.json()["id"])
        return self._translated(seen) == recorded

    def _count(self, step: JsonObject) -> Iterator[Deviation]:
        name = step["name"]
        routes: collections.Counter[str] = collections.Counter()
        statuses: collections.Counter[str] = collections.Counter()
        request = {"method": step["method"], "path": step["url"], **step}
        for _ in range(step["n"]):
            response = self._send(request)
            routes[self._translated(response.headers.get("x-seldon-route", ""))] += 1
            statuses[str(response.status_code)] += 1
        if statuses != step["statuses"]:
            yield self._deviation(name, "statuses", step["statuses"], dict(statuses))
        shares = self._shares(step)
        for route in sorted({*routes, *step["routes"]}):
            share = shares.get(route, 0.0)
            spread = _SIGMAS * math.sqrt(step["n"] * share * (1 - share))
            if abs(routes[route] - step["n"] * share) > spread:
                yield self._deviation(name, f"split {route}", f"{share:.4f}", routes[route])

    def _shares(self, step: JsonObject) -> dict[str, float]:
        """Say which share of the answers each route should have."""
        if len(step["routes"]) == 1:
            return dict.fromkeys(step["routes"], 1.0)
        weights = self._arms(step)
        total = sum(weights.values())
        return {f":{self._recorded_name(arm)}:": each / total for arm, each in weights.items()}

    def _arms(self, request: JsonObject) -> dict[str, int]:
        """Name the arms between which a request is split, with their weights."""
        headers = request["headers"]
        if "x-seldon-route" in headers:
            return {}
        named = re.match(r"/v2/models/([^/]+)", request.get("path") or request["url"])
        asked = headers.get("seldon-model") or (named[1] if named else "")
        if asked in self._defaults:
            asked = f"{self._defaults[asked]}.experiment"
        return self._weights.get(asked, {})

    def _send(self, request: JsonObject) -> httpx.Response:
        body = request["body"]
        content = None if body is None else body if isinstance(body, str) else json.dumps(body)
        headers = {name: self._in_our_versions(value) for name, value in request["headers"].items()}
        if isinstance(body, dict) and "Content-Type" not in headers:
            headers["Content-Type"] = "application/json"
        return self._client.request(
            request["method"],
            request["path"],
            content=content,
            headers=headers,
        )

    # Versions.

    def _recorded_name(self, model: str) -> str:
        return f"{model}_1"

    def _translated(self, text: str) -> str:
        """Write our internal names as the recording has them."""

        def recorded(match: re.Match[str]) -> str:
            model, version = match[1], int(match[2])
            first = self._versions.get(model)
            return match[0] if first is None else f"{model}_{version - first + 1}"

        return _REPLICAS.sub(recorded, text)

    def _in_our_versions(self, text: str) -> str:
        """Write the recording's internal names as ours."""

        def ours(match: re.Match[str]) -> str:
            model, version = match[1], int(match[2])
            first = self._versions.get(model)
            return match[0] if first is None else f"{model}_{version + first - 1}"

        return _REPLICAS.sub(ours, text)


def _pair(value: Any) -> tuple[str, int]:
    if isinstance(value, dict):
        return value["name"], value["weight"]
    name, number = value
    return name, number


def _without_chance(seen: Any, recorded: JsonObject) -> Any:
    """Put the recorded id in place of a generated one."""
    if isinstance(seen, dict) and _is_uuid(recorded.get("id")) and _is_uuid(seen.get("id")):
        return {**seen, "id": recorded["id"]}
    return seen


def _is_uuid(value: object) -> bool:
    try:
        return str(uuid.UUID(str(value))) == value
    except ValueError:
        return False


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
