"""The web application: one page an address, all of them sessions of one Shiny app."""

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator, Sequence

from htmltools import TagChild
from shiny import App, Inputs, Outputs, Session, render
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from . import following, parts, shell
from .live import ended
from .pages import Page, experiment, explanations, features, models, predictions, regimes
from .settings import Settings

STATIC = pathlib.Path(__file__).parent / "static"

PAGES: tuple[Page, ...] = (
    experiment.PAGE,
    regimes.PAGE,
    predictions.PAGE,
    explanations.PAGE,
    features.PAGE,
    models.PAGE,
)


def make(given: Settings) -> Starlette:
    """Make the application."""
    console = parts.Console(given)
    titles = [(each.path, each.title) for each in PAGES]
    pages = {each.path: _app(each, console, titles) for each in PAGES}
    first = f"/{PAGES[0].path}/"

    async def ready(request: Request) -> Response:
        del request
        return PlainTextResponse("ready\n")

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        warming = asyncio.create_task(console.warm())
        yield
        await ended(warming)
        for each in pages.values():
            await each.stop()
        await console.doors.close()

    return Starlette(
        routes=[
            Route("/ready", ready),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/", lambda _: RedirectResponse(first)),
            *(
                Route(f"/{path}", lambda _, path=path: RedirectResponse(f"/{path}/"))
                for path in pages
            ),
            *(Mount(f"/{path}", page) for path, page in pages.items()),
        ],
        lifespan=lifespan,
    )


def _app(page: Page, console: parts.Console, titles: Sequence[tuple[str, str]]) -> App:
    def serve(given: Inputs, output: Outputs, session: Session) -> None:
        standing = following.followed(session, console.standing, "standing")

        @render.ui
        def part_states() -> TagChild:
            found = standing()
            return None if found is None or found.value is None else shell.standing(found.value)

        page.serve(console, given, output, session)

    return App(shell.document(titles, page.path, page.content(console)), serve)
