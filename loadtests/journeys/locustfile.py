"""Locust's entry: the users of a plan, every request on record, thresholds at the end."""

import itertools
import random
import time

import gevent  # type: ignore[import-untyped]  # its stubs are a package of their own
from locust import FastHttpUser, events, task

from loadtests import endpoints, plan, thresholds
from loadtests.journeys import answers, recorder

_PLAN = plan.read()
_BODIES = _PLAN.requests.read_text().splitlines()
_JSON = {"content-type": "application/json"}


class _Caller(FastHttpUser):
    """Asks at the plan's rate, whatever answers take, at times that are its own.

    Callers that kept step would come in bursts, and measure their own queue.
    Never sends `x-seldon-route` back: that would fix the arm.
    """

    abstract = True
    host = _PLAN.gateway
    network_timeout = 10.0
    connection_timeout = 10.0

    def on_start(self) -> None:
        """Begin at a time of its own, and elsewhere in the bodies than the other users."""
        self.due = time.perf_counter()
        self.random = random.Random(next(_starts))  # noqa: S311  (times are no secrets)
        self.bodies = itertools.cycle(_BODIES)
        for _ in range(next(_starts)):
            next(self.bodies)
        self.wait()  # type: ignore[no-untyped-call]  # Locust's annotations have gaps

    def wait_time(self) -> float:
        """Return the seconds until the next request is due; 0 if it is overdue."""
        self.due += self.random.uniform(0.5, 1.5) / _PLAN.rate
        return max(0.0, self.due - time.perf_counter())

    def ask(self, journey: str, path: str, header: dict[str, str], arms: frozenset[str]) -> None:
        """Send one request, and record it under the arm that answered."""
        with self.client.post(
            path,
            data=next(self.bodies),
            headers=_JSON | header,
            name=f"{journey}: no arm",
            context={"journey": journey},
            catch_response=True,
        ) as response:
            try:
                arm = answers.arm(
                    response.status_code,
                    response.headers.get("x-seldon-route") if response.headers else None,
                    response.content or b"",
                    arms,
                )
            except answers.WrongAnswer as wrong:
                response.failure(str(wrong))
            else:
                response.request_meta["name"] = f"{journey}: {arm}"
                response.request_meta["context"]["arm"] = arm
                response.success()


_starts = itertools.count()


class Models(_Caller):
    """Asks each predictor in turn."""

    fixed_count = (
        _PLAN.users_of(thresholds.Journey.MODELS)
        if thresholds.Journey.MODELS in _PLAN.journey.parts
        else 0
    )
    abstract = thresholds.Journey.MODELS not in _PLAN.journey.parts

    def on_start(self) -> None:
        """Begin with another predictor than the other users."""
        self.models = itertools.cycle(_PLAN.models)
        for _ in range(next(_starts)):
            next(self.models)
        super().on_start()

    @task
    def forecast(self) -> None:
        """Ask the next predictor."""
        model = next(self.models)
        self.ask(
            thresholds.Journey.MODELS,
            endpoints.infer_path(model),
            endpoints.model_header(model),
            frozenset({model}),
        )


class Experiment(_Caller):
    """Asks the experiment."""

    fixed_count = (
        _PLAN.users_of(thresholds.Journey.EXPERIMENT)
        if thresholds.Journey.EXPERIMENT in _PLAN.journey.parts
        else 0
    )
    abstract = thresholds.Journey.EXPERIMENT not in _PLAN.journey.parts

    @task
    def forecast(self) -> None:
        """Ask the experiment; any of its arms may answer."""
        self.ask(
            thresholds.Journey.EXPERIMENT,
            endpoints.infer_path(_PLAN.experiment),
            endpoints.experiment_header(_PLAN.experiment),
            frozenset(_PLAN.weights or ()),
        )


_RECORDER = recorder.Recorder(_PLAN)
_RECORDER.listen(events)

# gevent counts timers from the last turn of its loop, which was before the imports:
# without this, `--run-time` ends as much too early as they took.
gevent.get_hub().loop.update_now()
