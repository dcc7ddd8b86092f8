"""The monitor over HTTP: /ready, /metrics, and what it knows as JSON."""

import http.server
import json
import urllib.parse
from typing import Any

import prometheus_client

from . import watching

_LIMIT, _MOST = 100, 10_000
_TOP = 5


class UnknownPredictionError(LookupError):
    """There is no prediction with that id."""


def prediction(monitor: watching.Monitor, id_: str) -> dict[str, Any]:
    """Give all that is known of a prediction: its row, its features, its decision, its rewards.

    Raises UnknownPredictionError.
    """
    found = monitor.read('select * from predictions where id = ? order by "offset" limit 1', (id_,))
    features = monitor.read('select * from features where id = ? order by "offset" limit 1', (id_,))
    decisions = monitor.read(
        'select * from decisions where id = ? order by "offset" limit 1', (id_,)
    )
    rewards = monitor.read(
        'select * from rewards where prediction_id = ? order by "offset"', (id_,)
    )
    if not found and not decisions:
        raise UnknownPredictionError(
            f"there is no prediction {id_!r}: ids are the `x-request-id` of an answer, and are known "
            "some seconds after it"
        )
    document: dict[str, Any] = _opened(found[0]) if found else {"id": id_}
    explanation = document.get("explanation")
    if isinstance(explanation, dict):
        document["top_features"] = top_features(explanation)
    document["features"] = json.loads(features[0]["features"]) if features else None
    document["features_time"] = features[0]["time"] if features else None
    document["market_time"] = features[0]["market_time"] if features else None
    document["decision"] = decisions[0] if decisions else None
    document["rewards"] = rewards
    return document


def top_features(explanation: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the five contributions that are the largest, whatever their sign."""
    given = explanation.get("contributions") or explanation.get("top_features") or []
    listed = [each for each in given if isinstance(each, dict)]
    listed.sort(key=lambda each: -abs(float(each.get("contribution") or 0.0)))
    return listed[:_TOP]


def _opened(row: dict[str, Any]) -> dict[str, Any]:
    """Read the columns that are JSON."""
    for name in ("quality", "explanation", "rules"):
        try:
            row[name] = json.loads(row[name])
        except (TypeError, ValueError):
            continue
    return row


class Pages(http.server.BaseHTTPRequestHandler):
    """GET only; errors are JSON with `error`."""

    monitor: watching.Monitor

    def do_GET(self) -> None:
        """Answer."""
        url = urllib.parse.urlsplit(self.path)
        asked = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/ready":
            ready = self.monitor.ready
            self._send(200 if ready else 503, b"ready\n" if ready else b"not ready\n", "text/plain")
        elif url.path == "/metrics":
            self._send(200, prometheus_client.generate_latest(), "text/plain; version=0.0.4")
        elif url.path == "/windows":
            self._json(200, self.monitor.windows())
        elif url.path == "/predictions":
            self._predictions(asked)
        elif url.path.startswith("/predictions/"):
            self._prediction(urllib.parse.unquote(url.path.removeprefix("/predictions/")))
        else:
            self._json(404, {"error": "there are /predictions, /windows, /ready and /metrics"})

    def _predictions(self, asked: dict[str, str]) -> None:
        unknown = set(asked) - {"symbol", "limit", "model"}
        limit = asked.get("limit", str(_LIMIT))
        if unknown or not limit.isdigit() or not 0 < int(limit) <= _MOST:
            message = f"the query may have symbol, model, and limit from 1 to {_MOST}"
            self._json(400, {"error": message})
            return
        where, parameters = [], []
        for name in ("symbol", "model"):
            if name in asked:
                where.append(f"{name} = ?")
                parameters.append(asked[name])
        condition = f"where {' and '.join(where)}" if where else ""
        columns = (
            "id, time, symbol, date, prediction, lower, upper, direction, confidence, position, "
            "regime, model, quality_score, anomaly_score, drift_score, percentile, latency_ms"
        )
        sql = f'select {columns} from predictions {condition} order by time desc, "offset" desc'  # noqa: S608  names alone
        self._json(200, self.monitor.read(f"{sql} limit {int(limit)}", tuple(parameters)))

    def _prediction(self, id_: str) -> None:
        try:
            self._json(200, prediction(self.monitor, id_))
        except UnknownPredictionError as error:
            self._json(404, {"error": str(error)})

    def _json(self, status: int, document: Any) -> None:
        self._send(status, json.dumps(document, default=_text).encode(), "application/json")

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log no scrape."""


def _text(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)
