"""Locust users: callers that ask at a rate, over REST or gRPC, and record every request."""

import itertools
import random
import time
from collections.abc import Mapping
from typing import Any

import grpc
from geventhttpclient.client import HTTPClientPool
from locust import FastHttpUser, User

from loadtests import access, endpoints, itinerary, open_inference, plan, targets
from loadtests.journeys import answers, asking, recorder

_starts = itertools.count()
_JSON = {"content-type": "application/json"}


class Paced:
    """Asks at the plan's rate, whatever answers take, at times that are its own.

    Callers that kept step would come in bursts, and measure their own queue.
    Never sends `x-seldon-route` back: that would fix the arm.
    """

    PLAN: plan.Plan
    PART: itinerary.Journey
    REQUESTS: asking.Requests
    RECORDER: recorder.Recorder

    def on_start(self) -> None:
        """Begin at a time of its own, and elsewhere in the requests than the other users."""
        number = next(_starts)
        self.random = random.Random(number)  # noqa: S311  (times are no secrets)
        self.turn = asking.turns(self.PLAN, self.PART, self.REQUESTS, number)
        self.due = time.perf_counter()
        self.wait()  # type: ignore[attr-defined]  # Locust's

    def wait_time(self) -> float:
        """Return the seconds until the next request is due; 0 if it is overdue."""
        self.due = self._following()
        return max(0.0, self.due - time.perf_counter())

    def go(self) -> None:
        """Do what is due."""
        self.RECORDER.due(self.PART, self.due)
        self.turn(self.send)

    def on_stop(self) -> None:
        """Count what was due and is not sent any more."""
        now = time.perf_counter()
        due = self._following()
        while due < now:
            self.RECORDER.due(self.PART, due)
            self.due = due
            due = self._following()

    def send(self, ask: asking.Ask) -> answers.Answer | None:
        """Send a request; see `asking.Send`."""
        raise NotImplementedError

    def _following(self) -> float:
        return self.due + self.random.uniform(0.5, 1.5) / self.PLAN.rate_of(self.PART)


def context_of(ask: asking.Ask) -> dict[str, Any]:
    """Return what `Recorder` reads of a request."""
    return {"journey": ask.journey, "counts": ask.counts}


def name_of(ask: asking.Ask, arm: str | None = None) -> str:
    """Return the name that Locust's own statistics have."""
    before = "" if ask.counts else ", the forecast before"
    return f"{ask.journey}{before}: {arm or 'no arm'}"


class Rest(Paced, FastHttpUser):
    """Asks over REST."""

    abstract = True
    max_redirects = 0
    tasks = [Paced.go]  # noqa: RUF012  # as Locust wants it

    def __init__(self, environment: Any) -> None:
        gateway = self.PLAN.access
        # Locust's own clients take no name for TLS, and check no certificate.
        named = {"server_hostname": gateway.host} if gateway.host else {}
        secure = {"ssl_context_factory": gateway.context, "ssl_options": named}
        self.client_pool = HTTPClientPool(
            network_timeout=access.PATIENCE,
            connection_timeout=access.PATIENCE,
            insecure=False,
            **(secure if gateway.secure else {}),
        )
        super().__init__(environment)

    def send(self, ask: asking.Ask) -> answers.Answer | None:
        """Send a request, and record it under the arm that answered."""
        with self.client.post(
            endpoints.infer_path(ask.model),
            data=ask.body,  # type: ignore[arg-type]  # bytes are sent as they are
            headers=_JSON | dict(ask.header),
            name=name_of(ask),
            context=context_of(ask),
            catch_response=True,
        ) as response:
            try:
                answer = answers.rest(
                    response.status_code, response.headers, response.content or b""
                )
                arm = ask.check(answer)
            except answers.WrongAnswer as wrong:
                response.failure(str(wrong))
                return None
            response.request_meta["name"] = name_of(ask, arm)
            response.request_meta["context"]["arm"] = arm
            response.success()
            return answer


class Rpc(Paced, User):
    """Asks over gRPC, each user over a connection of its own."""

    abstract = True
    tasks = [Paced.go]  # noqa: RUF012  # as Locust wants it
    AUTHORIZATION: Mapping[str, str]

    def on_start(self) -> None:
        """Open a connection."""
        self.channel = self.PLAN.access.channel()
        self.infer = targets.infer(self.channel)
        super().on_start()

    def on_stop(self) -> None:
        """Close the connection."""
        super().on_stop()
        self.channel.close()

    def send(self, ask: asking.Ask) -> answers.Answer | None:
        """Send a request, and record it under the arm that answered."""
        context = context_of(ask)
        began_at, began = time.time(), time.perf_counter()
        answer, failure, arm, size = None, None, None, 0
        try:
            response, call = self.infer.with_call(
                ask.body,
                metadata=[*ask.header.items(), *self.AUTHORIZATION.items()],
                timeout=access.PATIENCE,
            )
            took = time.perf_counter() - began
            size = response.ByteSize()
            told = _metadata(call)
            answer = answers.Answer(
                told.get("x-seldon-route"),
                told.get("x-request-id", ""),
                open_inference.outputs(response),
            )
            arm = context["arm"] = ask.check(answer)
        except grpc.RpcError as error:
            took = time.perf_counter() - began
            failure = answers.WrongAnswer(f"status {error.code().name}")
        except answers.WrongAnswer as wrong:
            failure = wrong
        self.environment.events.request.fire(
            request_type="gRPC",
            name=name_of(ask, arm),
            response_time=took * 1000,
            response_length=size,
            response=None,
            context=context,
            exception=failure,
            start_time=began_at,
        )
        return None if failure else answer


def _metadata(call: Any) -> dict[str, str]:
    """Return what came before and after an answer; of several values of a name the first."""
    found: dict[str, str] = {}
    for key, value in (*(call.initial_metadata() or ()), *(call.trailing_metadata() or ())):
        found.setdefault(key, value)
    return found
