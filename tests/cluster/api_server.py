"""A real Kubernetes API server with its etcd, on free ports of 127.0.0.1, and how tests speak to it.

There is no controller beside it: nothing makes pods of a Deployment or empties a deleted namespace.
What it does by itself is real: schemas, field ownership, RBAC, Pod Security, service accounts' tokens.
"""

import base64
import contextlib
import json
import pathlib
import secrets
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from infra.local import toolchain
from loadtests.bandit_parts import Part, free_ports, until

Manifest = dict[str, Any]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

_NOT_YET = {httpx.codes.NOT_FOUND, httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}


class RefusedError(Exception):
    """The API server's answer is an error: `code` is HTTP's, `reason` Kubernetes' word."""

    def __init__(self, answer: httpx.Response) -> None:
        body = answer.json() if answer.content else {}
        self.code, self.reason = answer.status_code, body.get("reason", "")
        super().__init__(f"{answer.status_code} {self.reason}: {body.get('message', answer.text)}")


class Client:
    """Speaks to the server as one user."""

    def __init__(self, url: str, authority: pathlib.Path, token: str) -> None:
        self.warnings: list[str] = []
        """What the server has warned of, such as Pod Security's objections to a Deployment."""
        self.http = httpx.Client(
            base_url=url,
            verify=ssl.create_default_context(cafile=authority),
            timeout=20,
            headers={"authorization": f"Bearer {token}"},
        )
        self._kinds: dict[str, dict[str, tuple[str, bool]]] = {}

    def path(self, manifest: Mapping[str, Any]) -> str:
        """Give an object's path, by the server's discovery."""
        version, kind = manifest["apiVersion"], manifest["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if kind not in self._kinds.get(root, {}):
            listed = self.call("GET", root)["resources"]
            self._kinds[root] = {
                each["kind"]: (each["name"], each["namespaced"])
                for each in listed
                if "/" not in each["name"]
            }
        plural, namespaced = self._kinds[root][kind]
        metadata = manifest["metadata"]
        space = f"/namespaces/{metadata['namespace']}" if namespaced else ""
        return f"{root}{space}/{plural}/{metadata['name']}"

    def call(
        self, method: str, path: str, body: Any = None, content_type: str = MERGE, **params: Any
    ) -> Manifest:
        """Call; raise `RefusedError` unless it went well."""
        kind = content_type if method == "PATCH" else "application/json"
        content = None if body is None else json.dumps(body)
        headers = {"content-type": kind}
        answer = self.http.request(
            method, path, content=content, headers=headers, params=params or None
        )
        if not answer.is_success:
            raise RefusedError(answer)
        self.warnings += answer.headers.get_list("warning")
        found: Manifest = answer.json()
        return found

    def create(self, manifest: Mapping[str, Any], **params: Any) -> Manifest:
        """Create an object."""
        collection = self.path(manifest).rpartition("/")[0]
        return self.call("POST", collection, manifest, fieldValidation="Strict", **params)

    def apply(self, manifest: Mapping[str, Any], manager: str = "tests", **params: Any) -> Manifest:
        """Apply an object server-side, with strict field validation."""
        told = {"fieldManager": manager, "fieldValidation": "Strict", **params}
        return self.call("PATCH", self.path(manifest), manifest, APPLY, **told)

    def get(self, manifest: Mapping[str, Any]) -> Manifest:
        """Read an object."""
        return self.call("GET", self.path(manifest))

    def delete(self, manifest: Mapping[str, Any]) -> None:
        """Delete an object."""
        self.call("DELETE", self.path(manifest))

    def may(self, verb: str, group: str, resource: str, **attributes: str) -> bool:
        """Ask what RBAC says about this user, by a SelfSubjectAccessReview."""
        resource, _, sub = resource.partition("/")
        asked = {"verb": verb, "group": group, "resource": resource, "subresource": sub}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {**asked, **attributes}},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return bool(self.call("POST", path, review)["status"]["allowed"])


class ApiServer:
    """The two processes."""

    def __init__(self, folder: pathlib.Path) -> None:
        programs = toolchain.kubernetes()
        etcd, peers, port = free_ports(3)
        self.url = f"https://127.0.0.1:{port}"
        self.authority = folder / "certificates" / "apiserver.crt"
        self._folder = folder
        self.token = secrets.token_hex(16)
        self._admin: Client | None = None
        store = f"http://127.0.0.1:{etcd}"
        self._etcd = Part(
            [
                *(str(programs / "etcd"), f"--data-dir={folder / 'etcd'}"),
                *(f"--listen-client-urls={store}", f"--advertise-client-urls={store}"),
                *(f"--listen-peer-urls=http://127.0.0.1:{peers}", "--unsafe-no-fsync"),
            ],
            folder / "etcd.log",
        )
        signing = folder / "service-accounts.key"
        tokens = folder / "tokens.csv"
        signing.write_text(_signing_key())
        tokens.write_text(f'{self.token},admin,admin,"system:masters"\n')
        self._server = Part(
            [
                *(str(programs / "kube-apiserver"), f"--etcd-servers={store}"),
                *("--bind-address=127.0.0.1", f"--secure-port={port}"),
                f"--cert-dir={folder / 'certificates'}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={signing}",
                f"--service-account-signing-key-file={signing}",
                *(f"--token-auth-file={tokens}", "--authorization-mode=RBAC"),
                *("--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none"),
            ],
            folder / "kube-apiserver.log",
        )

    def start(self) -> None:
        """Start both; return once the server is ready."""
        self._etcd.start()
        self._server.start()
        until(self._ready, "the API server is ready", 120)

    def _ready(self) -> bool | None:
        for part in (self._etcd, self._server):
            if not part.alive():
                raise RuntimeError(f"{part.log}: {part.log.read_text()[-3000:]}")
        if not self.authority.exists():
            return None
        if self._admin is None:
            self._admin = Client(self.url, self.authority, self.token)
        try:
            return self._admin.http.get("/readyz").is_success or None
        except httpx.TransportError:
            return None

    @property
    def admin(self) -> Client:
        """Speak as who may everything; once started."""
        if self._admin is None:
            raise RuntimeError("the API server is not started")
        return self._admin

    def close(self) -> None:
        """Kill both."""
        self._server.kill()
        self._etcd.kill()

    def account_token(self, namespace: str, account: str) -> str:
        """Issue a service account's token, as a pod would have it."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        return str(self.admin.call("POST", path, asked)["status"]["token"])

    def as_account(self, namespace: str, account: str) -> Client:
        """Speak as a service account."""
        return Client(self.url, self.authority, self.account_token(namespace, account))

    def make_namespace(self, name: str, level: str = "restricted") -> str:
        """Make a namespace with a level of Pod Security."""
        labels = {"pod-security.kubernetes.io/enforce": level}
        meta = {"name": name, "labels": labels}
        self.admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        return name

    def define(self, definitions: list[Manifest]) -> None:
        """Apply custom resource definitions; return once their kinds are served."""
        for each in definitions:
            self.admin.apply(each)
        for each in definitions:
            until(lambda each=each: self._served(each), f"{each['metadata']['name']} is served")

    def _served(self, definition: Manifest) -> bool | None:
        """Ask the kind's own path: the condition comes a moment before it answers."""
        spec = definition["spec"]
        for version in spec["versions"]:
            if version["served"]:
                path = f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}"
                try:
                    self.admin.call("GET", path)
                except RefusedError as error:
                    if error.code in _NOT_YET:
                        return None
                    raise
        return True


def _signing_key() -> str:
    """Make a P-256 key in SEC 1's form, the public part of which Go works out by itself."""
    curve = bytes.fromhex("a00a06082a8648ce3d030107")
    content = bytes.fromhex("303102010104 20") + secrets.token_bytes(32) + curve
    text = base64.b64encode(content).decode()
    return f"-----BEGIN EC PRIVATE KEY-----\n{text}\n-----END EC PRIVATE KEY-----\n"


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[ApiServer]:
    """Start an API server of one's own."""
    server = ApiServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.close()
