"""Seldon objects as Kubernetes' API server keeps them, without the server.

Reads, lists, creates, replaces, patches and deletes;
what is wrong comes back as a `refusal.Refusal`.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

import pydantic_core

from infra import seldon
from infra.local.mesh import artifacts, refusal, validation
from infra.local.mesh import pipelines as flow
from infra.local.mesh.changes import Changes
from infra.local.mesh.store import Store

JsonObject = dict[str, Any]
Stored = seldon.Object
_Kind = TypeVar("_Kind", seldon.Model, seldon.Experiment, seldon.Pipeline, seldon.Server)

BUILT_IN_SERVER = "mlserver"
"""The name of the server that is there as long as no Server is declared,
and the only server configuration that this mesh runs."""

PLURALS: Mapping[str, type[Stored]] = {kind.plural: kind for kind in seldon.KINDS.values()}


class Follower(Protocol):
    """Who acts on changes, and knows how far they are."""

    def changed(self, resource: Stored) -> None:
        """Take notice of an object that is new or different."""

    def removed(self, resource: Stored) -> None:
        """Take notice of an object that is gone."""

    def status(self, resource: Stored) -> JsonObject:
        """Say how an object fares, as the custom resource's status."""


class Objects:
    """All objects of one namespace. Not for use from several threads."""

    def __init__(
        self,
        store: Store,
        namespace: str,
        capabilities: Iterable[str],
        changes: Changes | None = None,
    ) -> None:
        self._store = store
        self._namespace = namespace
        self._capabilities = tuple(capabilities)
        self._changes = changes or Changes()
        self._follower: Follower | None = None
        self._objects: dict[str, dict[str, Stored]] = {plural: {} for plural in PLURALS}
        for plural, name, text in store.objects():
            kind = PLURALS.get(plural)
            if kind is not None:
                parsed = seldon.parse_as(kind, pydantic_core.from_json(text))
                self._objects[plural][name] = parsed

    def follow(self, follower: Follower) -> None:
        """Name the one who acts on changes."""
        self._follower = follower

    @property
    def models(self) -> Mapping[str, seldon.Model]:
        """The models by name."""
        return self._of(seldon.Model)

    @property
    def experiments(self) -> Mapping[str, seldon.Experiment]:
        """The experiments by name."""
        return self._of(seldon.Experiment)

    @property
    def pipelines(self) -> Mapping[str, seldon.Pipeline]:
        """The pipelines by name."""
        return self._of(seldon.Pipeline)

    @property
    def servers(self) -> Mapping[str, tuple[str, ...]]:
        """What each server that runs here can do; the built-in one if none is declared."""
        declared = self._of(seldon.Server)
        if not declared:
            return {BUILT_IN_SERVER: self._capabilities}
        return {
            name: validation.capabilities_of(server, self._capabilities)
            for name, server in declared.items()
            if runs_here(server)
        }

    def get(self, plural: str, name: str) -> JsonObject:
        """Read an object."""
        return self._shown(self._existing(plural, name))

    def refreshed(self, shown: JsonObject) -> JsonObject:
        """Show an object that was shown before with its status of now, unless it has changed."""
        for kind in PLURALS.values():
            if shown["kind"] == kind.__name__:
                current = self._objects[kind.plural].get(shown["metadata"]["name"])
                version = shown["metadata"]["resourceVersion"]
                if current is not None and current.metadata.resource_version == version:
                    return self._shown(current)
        return shown

    def list(self, plural: str) -> JsonObject:
        """Read all objects of a kind, by name."""
        return {
            "apiVersion": seldon.API_VERSION,
            "kind": f"{PLURALS[plural].__name__}List",
            "metadata": {"resourceVersion": str(self._store.resource_version())},
            "items": [self._shown(each) for _, each in sorted(self._objects[plural].items())],
        }

    def create(self, plural: str, body: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Create an object that is not there."""
        given = self._parsed(plural, None, body)
        name = given.metadata.name
        if not name:
            cause = seldon.Problem("required", "metadata.name", "metadata.name: Required value")
            raise refusal.unreadable(PLURALS[plural], name, (cause,))
        if name in self._objects[plural]:
            raise refusal.already_exists(plural, name)
        if given.metadata.resource_version is not None:
            raise refusal.bad_request("resourceVersion should not be set on objects to be created")
        return self._write(given, None, dry_run=dry_run)

    def replace(
        self, plural: str, name: str, body: JsonObject, *, dry_run: bool = False
    ) -> tuple[JsonObject, bool]:
        """Create or replace an object; also say whether it is new."""
        given = self._parsed(plural, name, body)
        old = self._objects[plural].get(name)
        return self._write(given, old, dry_run=dry_run), old is None

    def patch(
        self, plural: str, name: str, patch: JsonObject, *, dry_run: bool = False
    ) -> JsonObject:
        """Change an object by a JSON merge patch (RFC 7386)."""
        old = self._existing(plural, name)
        body = merged(seldon.manifest(old), {**patch, "status": None})
        return self._write(self._parsed(plural, name, body), old, dry_run=dry_run)

    def delete(
        self, plural: str, name: str, options: JsonObject | None = None, *, dry_run: bool = False
    ) -> JsonObject:
        """Delete an object that nobody refers to."""
        old = self._existing(plural, name)
        conditions = (options or {}).get("preconditions") or {}
        self._check_current(
            old,
            conditions.get("uid"),
            conditions.get("resourceVersion"),
        )
        if isinstance(old, seldon.Model | seldon.Pipeline):
            users = self._users(old)
            if users:
                raise refusal.conflict(plural, name, f"used by {users}: remove it there first")
        if isinstance(old, seldon.Server):
            self._check_servers(name, None)
        if not dry_run:
            with self._store.transaction():
                version = self._store.next_resource_version()
                self._store.delete_object(plural, name)
            last = self._shown(old)
            del self._objects[plural][name]
            if self._follower is not None:
                self._follower.removed(old)
            self._changes.add("DELETED", plural, version, last)
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {
                "name": name,
                "group": seldon.GROUP,
                "kind": plural,
                "uid": old.metadata.uid,
            },
        }

    def _of(self, kind: type[_Kind]) -> Mapping[str, _Kind]:
        found: Mapping[str, Any] = self._objects[kind.plural]
        return found

    def _existing(self, plural: str, name: str) -> Stored:
        found = self._objects[plural].get(name)
        if found is None:
            raise refusal.not_found(plural, name)
        return found

    def _shown(self, resource: Stored) -> JsonObject:
        shown = seldon.manifest(resource)
        if self._follower is not None:
            shown["status"] = self._follower.status(resource)
        return shown

    def _parsed(self, plural: str, name: str | None, body: JsonObject) -> Stored:
        kind = PLURALS[plural]
        for field, wanted in (("kind", kind.__name__), ("apiVersion", seldon.API_VERSION)):
            given = body.get(field, wanted)
            if given != wanted:
                raise refusal.bad_request(
                    f"the {field} in the data ({given}) does not match the expected one ({wanted})"
                )
        try:
            parsed = seldon.parse_as(kind, body)
        except seldon.ManifestError as error:
            metadata = body.get("metadata")
            given_name = metadata.get("name") if isinstance(metadata, dict) else None
            raise refusal.unreadable(kind, name or str(given_name or ""), error.problems) from error
        metadata = parsed.metadata
        if name is not None and metadata.name not in {"", name}:
            raise refusal.bad_request(
                f"the name of the object ({metadata.name}) "
                f"does not match the name on the URL ({name})"
            )
        if metadata.namespace not in {None, self._namespace}:
            raise refusal.bad_request(
                f"the namespace of the provided object ({metadata.namespace}) "
                f"does not match the namespace sent on the request ({self._namespace})"
            )
        return parsed.model_copy(
            update={"metadata": metadata.model_copy(update={"name": metadata.name or name or ""})}
        )

    def _write(self, given: Stored, old: Stored | None, *, dry_run: bool) -> JsonObject:
        plural, name = given.plural, given.metadata.name
        if old is None:
            if given.metadata.resource_version is not None:
                raise refusal.conflict(plural, name, refusal.MODIFIED)
            validation.check_name(type(given), name)
        else:
            self._check_current(old, given.metadata.uid, given.metadata.resource_version)
        self._check(given, old)
        same_spec = old is not None and old.spec == given.spec
        if (
            old is not None
            and same_spec
            and (old.metadata.labels or {}) == (given.metadata.labels or {})
            and (old.metadata.annotations or {}) == (given.metadata.annotations or {})
        ):
            return self._shown(old)
        if dry_run:
            return self._shown(self._stamped(given, old, self._store.resource_version()))
        with self._store.transaction():
            new = self._stamped(given, old, self._store.next_resource_version())
            text = new.model_dump_json(by_alias=True, exclude_none=True)
            self._store.put_object(plural, name, text)
        self._objects[plural][name] = new
        if self._follower is not None:
            self._follower.changed(new)
        shown = self._shown(new)
        version = int(new.metadata.resource_version or 0)
        self._changes.add("ADDED" if old is None else "MODIFIED", plural, version, shown)
        return shown

    def _stamped(self, given: Stored, old: Stored | None, resource_version: int) -> Stored:
        if old is None:
            now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            uid, created, generation = str(uuid.uuid4()), now, 1
        else:
            metadata = old.metadata
            uid, created = metadata.uid or "", metadata.creation_timestamp or ""
            generation = (metadata.generation or 0) + (old.spec != given.spec)
        return given.model_copy(
            update={
                "status": None,
                "metadata": seldon.ObjectMeta(
                    name=given.metadata.name,
                    namespace=self._namespace,
                    labels=given.metadata.labels,
                    annotations=given.metadata.annotations,
                    uid=uid,
                    resource_version=str(resource_version),
                    generation=generation,
                    creation_timestamp=created,
                ),
            }
        )

    def _check_current(self, old: Stored, uid: object, resource_version: object) -> None:
        plural, name = old.plural, old.metadata.name
        if uid is not None and uid != old.metadata.uid:
            raise refusal.conflict(
                plural,
                name,
                f"Precondition failed: UID in precondition: {uid}, "
                f"UID in object meta: {old.metadata.uid}",
            )
        if resource_version is not None and resource_version != old.metadata.resource_version:
            raise refusal.conflict(plural, name, refusal.MODIFIED)

    def _check(self, given: Stored, old: Stored | None) -> None:
        name = given.metadata.name
        if isinstance(given, seldon.Experiment):
            others = (each for each in self.experiments.values() if each.metadata.name != name)
            validation.check_experiment(given, others)
        elif isinstance(given, seldon.Model):
            if isinstance(old, seldon.Model) and old.spec != given.spec:
                self._check_users(given)
        elif isinstance(given, seldon.Pipeline):
            flow.check(
                given, (each for each in self.pipelines.values() if each.metadata.name != name)
            )
        else:
            self._check_servers(name, given)

    def _users(self, resource: seldon.Model | seldon.Pipeline) -> str:
        return validation.users_of(resource, self.experiments.values(), self.pipelines.values())

    def _check_users(self, model: seldon.Model) -> None:
        """Refuse a change that would take a model away from an experiment or pipeline."""
        name = model.metadata.name
        users = self._users(model)
        if not users:
            return
        why = validation.why_unschedulable(model.spec, self.servers)
        if model.spec.replicas == 0:
            why = "replicas: 0 would stop it"
        if why is None:
            try:
                artifacts.folder_of(model.spec)
            except artifacts.ArtifactError as error:
                why = str(error)
        if why is not None:
            raise refusal.conflict(model.plural, name, f"used by {users}, and {why}")

    def _check_servers(self, name: str, server: seldon.Server | None) -> None:
        """Refuse a change of servers that would leave a model without one."""
        before = self.servers
        declared = {**self._of(seldon.Server)}
        if server is None:
            declared.pop(name, None)
        else:
            declared[name] = server
        after = {
            each: validation.capabilities_of(it, self._capabilities)
            for each, it in declared.items()
            if runs_here(it)
        }
        if not declared:
            after = {BUILT_IN_SERVER: self._capabilities}
        stranded = [
            each
            for each, model in self.models.items()
            if validation.why_unschedulable(model.spec, before) is None
            and validation.why_unschedulable(model.spec, after) is not None
        ]
        if stranded:
            raise refusal.conflict(
                "servers", name, f"no server would be left for model {', '.join(sorted(stranded))}"
            )


def runs_here(server: seldon.Server) -> bool:
    """Say whether this machine has the server that is asked for: MLServer."""
    return server.spec.server_config == BUILT_IN_SERVER


def merged(target: object, patch: JsonObject) -> JsonObject:
    """Apply a JSON merge patch (RFC 7386): null removes, objects merge, the rest replaces."""
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result.get(key), value)
        else:
            result[key] = value
    return result
