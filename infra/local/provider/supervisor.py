"""Resource type `Supervisor`: the supervisord of an environment, with its guardian."""

import pathlib

import pydantic

from infra.local import supervision
from infra.local.provider import awaiting, handler, values


class SupervisorInputs(handler.Inputs):
    """Where the environment is."""

    home: str = pydantic.Field(pattern=r"^/")


class SupervisorHandler(handler.Handler[SupervisorInputs]):
    """One a home. Processes that an earlier supervisord left behind are taken over."""

    inputs = SupervisorInputs
    replace_on = frozenset({"home"})

    def identify(self, wanted: SupervisorInputs) -> str:
        """An environment is its home."""
        return wanted.home

    def create(self, wanted: SupervisorInputs, timeout: float) -> values.Plain:
        """Start it and wait until it answers."""
        supervision_ = supervision.Supervision(pathlib.Path(wanted.home))
        supervision_.write()
        if not supervision_.alive():
            # One that lives without answering lost its folder: the environment was deleted under it.
            lost = supervision_.leftovers(supervision.SUPERVISORD)
            supervision.end(supervision_.leftovers(supervision.GUARDIAN, supervision.SUPERVISORD))
            if lost:  # what it ran lost its state too: nobody takes that over
                supervision.end(supervision_.leftovers())
            supervision_.start_daemon()
        log = supervision_.home / "logs" / "supervisord.log"
        awaiting.until(
            lambda: None if supervision_.alive() else f"no answer on {supervision_.socket}",
            timeout,
            "supervisord",
            lambda: f"Last lines of {log}:\n{supervision.tail(log)}",
        )
        return {}

    def read(self, last: SupervisorInputs) -> values.Plain | None:
        """It is gone if it does not answer."""
        return {} if supervision.Supervision(pathlib.Path(last.home)).alive() else None

    def update(
        self, old: SupervisorInputs, wanted: SupervisorInputs, timeout: float
    ) -> values.Plain:
        """There is nothing to change but the home, which makes a new one."""
        del old
        return self.create(wanted, timeout)

    def delete(self, last: SupervisorInputs, timeout: float) -> None:
        """Stop it, and what it still runs; wait for the end of all."""
        supervision_ = supervision.Supervision(pathlib.Path(last.home))
        if supervision_.alive():
            supervision_.proxy().shutdown()
            awaiting.until(
                lambda: "it still answers" if supervision_.alive() else None,
                timeout,
                "its shutdown",
            )
        supervision.end(supervision_.leftovers())
