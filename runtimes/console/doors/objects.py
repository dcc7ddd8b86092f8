"""Seldon objects and bandit policies at an API server: Kubernetes' own or the mesh, the same calls."""

import pathlib
from typing import Any

import httpx

from . import http

SELDON = "/apis/mlops.seldon.io/v1alpha1"
POLICIES = "/apis/bandits.bellwether.dev/v1alpha1"
_MERGE_PATCH = {"content-type": "application/merge-patch+json"}

Object = dict[str, Any]


class Objects(http.Door):
    """One namespace of an API server; a service account's token is read anew for each call."""

    def __init__(self, url: str, namespace: str, service_account: pathlib.Path) -> None:
        authority = service_account / "ca.crt"
        super().__init__(
            "API server",
            httpx.AsyncClient(
                base_url=url,
                timeout=http.SECONDS,
                verify=str(authority) if authority.exists() else True,
            ),
        )
        self._namespace = namespace
        self._token = service_account / "token"

    async def listed(self, kind: str) -> list[Object]:
        """Give all `experiments`, `models`, `pipelines` or `banditpolicies`, by name."""
        items: list[Object] = (await self._call("GET", kind, "")).get("items") or []
        return sorted(items, key=lambda each: str(each["metadata"]["name"]))

    async def get(self, kind: str, name: str) -> Object:
        """Give one object."""
        return await self._call("GET", kind, f"/{name}")

    async def patch(self, kind: str, name: str, change: Object) -> Object:
        """Merge a change into an object."""
        return await self._call("PATCH", kind, f"/{name}", change)

    async def _call(self, method: str, kind: str, path: str, body: Object | None = None) -> Object:
        group = POLICIES if kind == "banditpolicies" else SELDON
        headers = dict(_MERGE_PATCH) if method == "PATCH" else {}
        if self._token.exists():
            headers["authorization"] = f"Bearer {self._token.read_text().strip()}"
        answer = await self.ask(
            method,
            f"{group}/namespaces/{self._namespace}/{kind}{path}",
            json=body,
            headers=headers,
        )
        found: Object = answer.json()
        return found
