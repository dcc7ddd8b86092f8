"""What each journey asks, one request after the other."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from loadtests import endpoints, itinerary, plan, samples
from loadtests.journeys import answers


class Ask(NamedTuple):
    """One request: what it is for, and how its answer is read."""

    journey: itinerary.Journey
    model: str
    header: Mapping[str, str]
    body: bytes
    """As the protocol wants it."""
    check: Callable[[answers.Answer], str]
    """Gives who answered; raises `answers.WrongAnswer`."""
    counts: bool = True
    """Whether its time is the journey's; a failure of it is in any case."""


class Send(Protocol):
    """Sends a request, records it, and gives the answer; None if it failed."""

    def __call__(self, ask: Ask) -> answers.Answer | None:
        """Send."""


Bodies = Mapping[plan.Kind, list[samples.Body]]
Turn = Callable[[Send], None]
"""What a user does when it is due."""


def bodies(of: plan.Plan) -> Bodies:
    """Read the requests of a plan."""
    return {kind: samples.read(of.requests(kind)) for kind in plan.kinds(of.journey)}


class Requests:
    """The requests of a plan, written as its protocol wants them, once for all users."""

    def __init__(self, of: plan.Plan) -> None:
        self._plan = of
        self._bodies = bodies(of)
        self._written: dict[tuple[plan.Kind, str], list[bytes]] = {}

    def written(self, kind: plan.Kind, model: str) -> list[bytes]:
        """Return the requests of a kind to a model; over REST all models' are the same."""
        grpc = self._plan.protocol is itinerary.Protocol.GRPC
        key = (kind, model if grpc else "")
        if key not in self._written:
            self._written[key] = [
                each.grpc(model) if grpc else each.rest() for each in self._bodies[kind]
            ]
        return self._written[key]

    def cycle(self, kind: plan.Kind, model: str, start: int) -> Iterator[bytes]:
        """Return the requests to a model again and again, from the `start`-th on."""
        found = self.written(kind, model)
        at = start % len(found)
        return itertools.cycle([*found[at:], *found[:at]])

    def reward(self, prediction_id: str) -> bytes:
        """Return a reward for a prediction."""
        body = samples.reward(prediction_id)
        if self._plan.protocol is itinerary.Protocol.GRPC:
            return body.grpc(self._plan.reward)
        return body.rest()


def turns(of: plan.Plan, part: itinerary.Journey, requests: Requests, start: int) -> Turn:
    """Return what a user on a journey does in each turn; `start` sets users apart."""
    kinds: Mapping[itinerary.Journey, Callable[[plan.Plan, Requests, int], Turn]] = {
        itinerary.Journey.MODEL: _models,
        itinerary.Journey.EXPERIMENT: _experiment,
        itinerary.Journey.PIPELINE: _pipeline,
        itinerary.Journey.EXPLANATION: _explanation,
        itinerary.Journey.REWARD: _reward,
    }
    return kinds[part](of, requests, start)


def _models(of: plan.Plan, requests: Requests, start: int) -> Turn:
    """Ask each predictor in turn."""
    at = start % len(of.models)
    models = itertools.cycle([*of.models[at:], *of.models[:at]])
    given = {name: requests.cycle(plan.Kind.FORECAST, name, start) for name in of.models}

    def turn(send: Send) -> None:
        name = next(models)
        expected = frozenset({name})
        send(
            Ask(
                itinerary.Journey.MODEL,
                name,
                endpoints.model_header(name),
                next(given[name]),
                lambda answer: answers.forecast(answer, expected),
            )
        )

    return turn


def _experiment(of: plan.Plan, requests: Requests, start: int) -> Turn:
    """Ask the experiment; any of its arms may answer."""
    given = requests.cycle(plan.Kind.FORECAST, of.experiment, start)
    return lambda send: _discard(send(_forecast(of, itinerary.Journey.EXPERIMENT, next(given))))


def _pipeline(of: plan.Plan, requests: Requests, start: int) -> Turn:
    """Ask the pipeline for a decision."""
    given = requests.cycle(plan.Kind.DECISION, of.pipeline, start)
    header = endpoints.pipeline_header(of.pipeline)
    return lambda send: _discard(
        send(Ask(itinerary.Journey.PIPELINE, of.pipeline, header, next(given), answers.decision))
    )


def _explanation(of: plan.Plan, requests: Requests, start: int) -> Turn:
    """Ask for an explanation on demand."""
    given = requests.cycle(plan.Kind.EXPLANATION, of.explainer, start)
    header = endpoints.model_header(of.explainer)
    return lambda send: _discard(
        send(
            Ask(
                itinerary.Journey.EXPLANATION,
                of.explainer,
                header,
                next(given),
                answers.explanation,
            )
        )
    )


def _reward(of: plan.Plan, requests: Requests, start: int) -> Turn:
    """Ask the experiment, and reward what it answered."""
    given = requests.cycle(plan.Kind.FORECAST, of.experiment, start)
    header = endpoints.model_header(of.reward)

    def turn(send: Send) -> None:
        forecast = _forecast(of, itinerary.Journey.REWARD, next(given))
        answer = send(forecast._replace(counts=False))
        if answer is not None:
            body = requests.reward(answer.request_id)
            send(Ask(itinerary.Journey.REWARD, of.reward, header, body, answers.reward))

    return turn


def _forecast(of: plan.Plan, part: itinerary.Journey, body: bytes) -> Ask:
    expected = frozenset(of.weights or ())
    return Ask(
        part,
        of.experiment,
        endpoints.experiment_header(of.experiment),
        body,
        lambda answer: answers.forecast(answer, expected),
    )


def _discard(_: answers.Answer | None) -> None:
    pass
