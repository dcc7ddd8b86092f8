"""A smoke test of nobody, and of somebody who answers wrongly, fails and says of what."""

import http.server
import json
import threading

import pytest

from bellwether import smoke
from models import requests, sources


@pytest.fixture(scope="module")
def request_():
    return requests.latest("SPX", sources.Source(None))


@pytest.fixture
def gateway():
    """Answers everything with a forecast whose volatility is below zero."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            outputs = [
                {"name": "volatility", "data": [-0.2]},
                {"name": "direction", "data": [0.5]},
                {"name": "interval", "data": [0.1, 0.3]},
            ]
            body = json.dumps({"outputs": outputs}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_of_nobody_every_check_fails(request_):
    outcome = smoke.run("http://127.0.0.1:9", request_)
    assert not outcome.passed
    assert all("refused" in check.said for check in outcome.checks)


def test_an_answer_that_is_no_volatility_fails_as_an_error_does(request_, gateway):
    outcome = smoke.run(gateway, request_)
    said = {check.name: check.said for check in outcome.checks}
    assert not any(check.passed for check in outcome.checks)
    assert said["model baseline-predictor"] == "volatility is -0.2"
    assert said["pipeline financial-prediction-pipeline"].startswith("the answer lacks ")
