"""Bandit policies as Kubernetes' API server keeps a custom resource with a status subresource.

Their controller acts on them, and writes their status; the mesh only checks and keeps them.
"""

import datetime as dt
import uuid
from typing import Any, Literal

import pydantic_core

from infra import seldon
from infra.local.mesh import refusal, validation
from infra.local.mesh.changes import Changes
from infra.local.mesh.objects import JsonObject, merged
from infra.local.mesh.store import Store
from runtimes.bandit import declaration, notation

PLURAL = declaration.PLURAL
API_VERSION = declaration.API_VERSION


class Policies:
    """All bandit policies of one namespace. Not for use from several threads."""

    def __init__(self, store: Store, namespace: str, changes: Changes) -> None:
        self._store = store
        self._namespace = namespace
        self._changes = changes
        self._objects: dict[str, JsonObject] = {
            name: pydantic_core.from_json(text)
            for plural, name, text in store.objects()
            if plural == PLURAL
        }

    def get(self, name: str) -> JsonObject:
        """Read a policy with its status."""
        found = self._objects.get(name)
        if found is None:
            raise refusal.not_found(PLURAL, name, declaration.GROUP)
        return found

    def list(self) -> JsonObject:
        """Read all policies, by name."""
        return {
            "apiVersion": API_VERSION,
            "kind": f"{declaration.KIND}List",
            "metadata": {"resourceVersion": str(self._store.resource_version())},
            "items": [each for _, each in sorted(self._objects.items())],
        }

    def create(self, body: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Create a policy that is not there."""
        given = self._checked(None, body)
        name = given["metadata"]["name"]
        if name in self._objects:
            raise refusal.already_exists(PLURAL, name, declaration.GROUP)
        if "resourceVersion" in given["metadata"]:
            raise refusal.bad_request("resourceVersion should not be set on objects to be created")
        return self._write(given, None, dry_run=dry_run)

    def replace(
        self, name: str, body: JsonObject, *, dry_run: bool = False
    ) -> tuple[JsonObject, bool]:
        """Create or replace a policy, its status excepted; also say whether it is new."""
        given = self._checked(name, body)
        old = self._objects.get(name)
        if old is None and "resourceVersion" in given["metadata"]:
            raise self._conflict(name, refusal.MODIFIED)
        return self._write(given, old, dry_run=dry_run), old is None

    def patch(self, name: str, patch: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Change a policy, its status excepted, by a JSON merge patch (RFC 7386)."""
        old = self.get(name)
        given = self._checked(name, merged(old, patch))
        return self._write(given, old, dry_run=dry_run)

    def write_status(self, name: str, body: JsonObject, *, patch: bool) -> JsonObject:
        """Change a policy's status alone, by a merge patch or by a whole object."""
        old = self.get(name)
        if not isinstance(body.get("status") or {}, dict):
            raise refusal.invalid_status(PLURAL, name, declaration.GROUP)
        self._check_current(name, old, body.get("metadata") or {})
        status = merged(old, body).get("status") if patch else body.get("status")
        new = {**old, "status": status or {}}
        return old if new == old else self._store_as(new, old)

    def delete(
        self, name: str, options: JsonObject | None = None, *, dry_run: bool = False
    ) -> JsonObject:
        """Delete a policy."""
        old = self.get(name)
        self._check_current(name, old, (options or {}).get("preconditions") or {})
        if not dry_run:
            with self._store.transaction():
                version = self._store.next_resource_version()
                self._store.delete_object(PLURAL, name)
            del self._objects[name]
            self._changes.add("DELETED", PLURAL, version, old)
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {
                "name": name,
                "group": declaration.GROUP,
                "kind": PLURAL,
                "uid": old["metadata"]["uid"],
            },
        }

    def _checked(self, name: str | None, body: JsonObject) -> JsonObject:
        """Give the manifest as it is kept: checked, and otherwise as it was given."""
        for field, wanted in (("kind", declaration.KIND), ("apiVersion", API_VERSION)):
            given = body.get(field, wanted)
            if given != wanted:
                raise refusal.bad_request(
                    f"the {field} in the data ({given}) does not match the expected one ({wanted})"
                )
        metadata = body.get("metadata")
        own = metadata.get("name") if isinstance(metadata, dict) else None
        title = str(own or name or "")
        if isinstance(metadata, dict) and not own and name is not None:
            body = {**body, "metadata": {**metadata, "name": name}}
        try:
            declaration.parse({**body, "status": None})
            notes = seldon.parse_as(seldon.ObjectMeta, body["metadata"])
        except (notation.ManifestError, seldon.ManifestError) as error:
            problems: Any = error.problems
            raise refusal.unreadable_as(
                declaration.KIND, PLURAL, API_VERSION, title, problems
            ) from error
        if name is not None and own not in {None, "", name}:
            raise refusal.bad_request(
                f"the name of the object ({own}) does not match the name on the URL ({name})"
            )
        if notes.namespace not in {None, self._namespace}:
            raise refusal.bad_request(
                f"the namespace of the provided object ({notes.namespace}) "
                f"does not match the namespace sent on the request ({self._namespace})"
            )
        if not validation.NAME.fullmatch(title) or len(title) > validation.NAME_LIMIT:
            message = (
                f"{declaration.KIND} {title[:40]} does not have a valid name: lower-case letters, "
                f"digits and dashes, at most {validation.NAME_LIMIT}"
            )
            problem = seldon.Problem("invalid", "metadata.name", message)
            raise refusal.unreadable_as(
                declaration.KIND, PLURAL, API_VERSION, title, (problem,)
            ) from None
        return {
            "apiVersion": API_VERSION,
            "kind": declaration.KIND,
            "metadata": seldon.manifest(notes),
            "spec": body["spec"],
        }

    def _write(self, given: JsonObject, old: JsonObject | None, *, dry_run: bool) -> JsonObject:
        name = given["metadata"]["name"]
        known: JsonObject = {}
        if old is not None:
            known = old["metadata"]
            self._check_current(name, old, given["metadata"])
            notes = ("labels", "annotations")
            if old["spec"] == given["spec"] and all(
                (known.get(each) or {}) == (given["metadata"].get(each) or {}) for each in notes
            ):
                return old
        changed = old is not None and old["spec"] != given["spec"]
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        new: JsonObject = {
            **given,
            "metadata": {
                **{
                    key: given["metadata"][key]
                    for key in ("name", "labels", "annotations")
                    if given["metadata"].get(key)
                },
                "namespace": self._namespace,
                "uid": known.get("uid") or str(uuid.uuid4()),
                "generation": known.get("generation", 1) + changed,
                "creationTimestamp": known.get("creationTimestamp") or now,
            },
        }
        if old is not None and "status" in old:
            new["status"] = old["status"]
        if dry_run:
            new["metadata"]["resourceVersion"] = str(self._store.resource_version())
            return new
        return self._store_as(new, old)

    def _store_as(self, new: JsonObject, old: JsonObject | None) -> JsonObject:
        name = new["metadata"]["name"]
        with self._store.transaction():
            version = self._store.next_resource_version()
            kept = {**new, "metadata": {**new["metadata"], "resourceVersion": str(version)}}
            self._store.put_object(PLURAL, name, pydantic_core.to_json(kept).decode())
        self._objects[name] = kept
        kind: Literal["ADDED", "MODIFIED"] = "ADDED" if old is None else "MODIFIED"
        self._changes.add(kind, PLURAL, version, kept)
        return kept

    def _check_current(self, name: str, old: JsonObject, wanted: JsonObject) -> None:
        uid, version = wanted.get("uid"), wanted.get("resourceVersion")
        if uid is not None and uid != old["metadata"]["uid"]:
            raise self._conflict(
                name,
                f"Precondition failed: UID in precondition: {uid}, "
                f"UID in object meta: {old['metadata']['uid']}",
            )
        if version is not None and version != old["metadata"]["resourceVersion"]:
            raise self._conflict(name, refusal.MODIFIED)

    @staticmethod
    def _conflict(name: str, why: str) -> refusal.Refusal:
        return refusal.conflict(PLURAL, name, why, declaration.GROUP)
