"""Vetoes over epochs: an arm that is bad loses its traffic, one that has healed gets its floor back.

An arm without traffic shows nothing, so it is asked: a few requests made of its own metadata,
through the gateway, which Envoy counts like all others.
Where that cannot be done, it gets its floor after an epoch, and loses it again if it is still bad.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from runtimes.bandit import declaration

from .health import Counters, EnvoyCounters, why_vetoed

logger = logging.getLogger(__name__)

_PROBES = 5
_PROBE_SECONDS = 0.3
_SERVER_ERROR = 500
_NUMBERS = ("FP", "INT", "UINT")


class Guard:
    """Judges arms between two epochs."""

    def __init__(
        self, envoy: str | None, prometheus: str | None, gateway: str | None = None
    ) -> None:
        self._counters = EnvoyCounters(envoy, prometheus)
        self._client = httpx.Client(base_url=gateway, timeout=_PROBE_SECONDS) if gateway else None
        self._before: dict[str, Counters] = {}
        self._problem = ""

    def close(self) -> None:
        """Give the connections back."""
        self._counters.close()
        if self._client is not None:
            self._client.close()

    def judge(
        self,
        arms: Sequence[str],
        allowed: declaration.Guardrails,
        before: Mapping[str, str],
    ) -> dict[str, str]:
        """Say which arms lose their traffic, and why; `before` are those that have lost it."""
        if allowed.max_error_rate is None and allowed.max_p99_ms is None:
            return {}
        try:
            now = self._counters.read(arms)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            if str(error) != self._problem:
                logger.warning("guardrails see nothing, vetoes stay as they are: %s", error)
            self._problem = str(error)
            return {arm: why for arm, why in before.items() if arm in arms}
        self._problem = ""
        vetoes = {}
        for arm in arms:
            first = arm not in self._before
            seen = now[arm].since(self._before.get(arm)) if not first else Counters()
            why = why_vetoed(seen, allowed)
            if why is None and arm in before:
                why = self._still_bad(arm, allowed, before[arm])
            if why is not None:
                vetoes[arm] = why
        # What the probes made Envoy count belongs to the time before.
        self._before = self._counters.read(arms) if before else now
        return vetoes

    def _still_bad(self, arm: str, allowed: declaration.Guardrails, before: str) -> str | None:
        """Ask an arm that has no traffic; None if it has healed, or cannot be asked."""
        if self._client is None:
            return None
        request = self._request(arm)
        if request is None:
            return None
        path, headers = f"/v2/models/{arm}/infer", {"seldon-model": arm}
        failed, slow = 0, 0
        for _ in range(_PROBES):
            began = time.perf_counter()
            try:
                answer = self._client.post(path, json=request, headers=headers)
                failed += answer.status_code >= _SERVER_ERROR
            except httpx.HTTPError:
                failed += 1
            slow += (time.perf_counter() - began) * 1e3 > (allowed.max_p99_ms or float("inf"))
        if allowed.max_error_rate is not None and failed:
            return f"still fails: {failed} of {_PROBES} requests that asked it"
        if slow > 1:
            return f"still slow: {slow} of {_PROBES} requests that asked it"
        del before
        return None

    def _request(self, arm: str) -> dict[str, Any] | None:
        """Make a request of a model's metadata: one row of zeros."""
        if self._client is None:
            return None
        try:
            answer = self._client.get(f"/v2/models/{arm}")
            inputs = answer.json()["inputs"] if answer.is_success else []
        except (httpx.HTTPError, ValueError, KeyError):
            return None
        made = []
        for each in inputs:
            if not str(each.get("datatype", "")).startswith(_NUMBERS):
                return None
            shape = [1 if size < 0 else size for size in each["shape"]]
            count = 1
            for size in shape:
                count *= size
            made.append(
                {
                    "name": each["name"],
                    "shape": shape,
                    "datatype": each["datatype"],
                    "data": [0] * count,
                }
            )
        return {"inputs": made} if made else None
