"""The console of the running environment, in real Chromium."""

import contextlib
import dataclasses
import os
import re
import urllib.parse

import httpx
import pytest
from playwright import sync_api

from bellwether import setup
from infra.local import toolchain
from runtimes import contract
from tests.conformance import environment as conformance
from tests.stack import conftest as stack
from tests.stack import forecasts

SCREENSHOTS = stack.HOME / "screenshots"
"""Kept as artifacts of CI."""

SIZE = {"width": 1360, "height": 860}
SECONDS = 20
"""How long something may take to come about; a page's own time is measured elsewhere."""


@pytest.fixture(scope="session")
def environment(up):
    """The same environment by its addresses."""
    where = up.endpoints()
    return conformance.Environment(
        where.gateway, where.mesh, where.namespace, model_server_url=where.model_server
    )


@pytest.fixture(scope="session")
def chromium():
    """The browser, once for all tests."""
    setup.install_browser()
    found = toolchain.chromium()
    assert found is not None
    sync_api.expect.set_options(timeout=SECONDS * 1000)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found.program, env={**os.environ, **found.environment}
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def gateway(up):
    """Where predictions are asked for."""
    with forecasts.Gateway(up) as found:
        yield found


@pytest.fixture(scope="session")
def answer(gateway):
    """An answer of the pipeline that all steps had a part in."""
    return forecasts.until(gateway.ask, forecasts.is_normal, "the pipeline answers")


def features(gateway, model):
    """The names of a predictor's features, in the order of its tensor."""
    url = f"http://127.0.0.1:{gateway.ports.gateway}/v2/models/{model}"
    inputs = {each["name"]: each for each in httpx.get(url).raise_for_status().json()["inputs"]}
    return inputs[contract.FEATURES]["parameters"]["columns"].split(",")


@dataclasses.dataclass
class Console:
    """The console as somebody sees it who has just opened a browser."""

    browser: sync_api.Browser
    url: str
    name: str
    complaints: list[str]
    """What the browser's console said, what failed, and what was asked of anybody else."""

    @contextlib.contextmanager
    def visit(self, path, **how):
        """Open a page in a browser that knows nothing yet; its picture is kept."""
        context = self.browser.new_context(**{"viewport": SIZE, "color_scheme": "light", **how})
        context.set_default_timeout(SECONDS * 1000)
        try:
            page = context.new_page()
            self._watch(page)
            page.goto(f"{self.url}{path}", wait_until="commit")
            yield page
        finally:
            if context.pages:
                SCREENSHOTS.mkdir(parents=True, exist_ok=True)
                context.pages[0].screenshot(path=SCREENSHOTS / f"{self.name}.png", full_page=True)
            context.close()

    def _watch(self, page):
        page.on("console", lambda each: self.complaints.append(f"{each.type}: {each.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", self._request)
        page.on("response", self._response)

    def _request(self, request):
        asked = urllib.parse.urlsplit(request.url)
        if asked.scheme != "data" and not request.url.startswith(self.url):
            self.complaints.append(f"asked elsewhere: {request.url}")

    def _response(self, response):
        if response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")


@pytest.fixture
def console(up, chromium, request):
    """The console; at the end, the browser must have had nothing to complain of."""
    url = f"http://127.0.0.1:{up.settings().ports.console}"
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    found = Console(chromium, url, name, [])
    yield found
    assert found.complaints == []
