"""Does what was deployed answer? Every predictor, the experiment, and the prediction pipeline, once each.

The answers are looked into: a forecast that is no volatility fails as a status of 500 does.
"""

import collections.abc
import dataclasses
import math
import time

import httpx
import rich.table

from bellwether import decide, predict
from infra.catalogue import experiments, models
from models import requests
from runtimes import contract

_RETRY_SECONDS = 1.0
_TIMEOUT_SECONDS = 30.0
_HIGHEST_VOLATILITY = 20.0
"""2,000 % a year: beyond this a forecast is broken, whatever the market does."""


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One thing that was asked."""

    name: str
    passed: bool
    said: str
    """What was answered, or why it does not pass."""
    milliseconds: float
    """Of the last try."""
    tries: int


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """A smoke test."""

    gateway: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passes."""
        return all(check.passed for check in self.checks)


class _WrongError(Exception):
    """An answer is not what it has to be."""


_Question = collections.abc.Callable[[httpx.Client], str]


def run(
    gateway: str,
    request: requests.Request,
    *,
    wait: float = 0,
    headers: collections.abc.Mapping[str, str] | None = None,
    said: collections.abc.Callable[[int, str], None] = lambda _count, _name: None,
) -> Outcome:
    """Ask everything of a gateway.

    Args:
        gateway: base URL.
        request: what predictors are asked.
        wait: seconds, over the whole test, in which what does not answer well is asked again.
        headers: what every request says beside.
        said: called before each question with how many there are, and its name.

    """
    questions = _questions(request)
    until = time.monotonic() + wait
    checks = []
    with httpx.Client(base_url=gateway, timeout=_TIMEOUT_SECONDS, headers=headers) as client:
        for name, question in questions.items():
            said(len(questions), name)
            checks.append(_asked(client, name, question, until))
    return Outcome(gateway, tuple(checks))


def _questions(request: requests.Request) -> dict[str, _Question]:
    experiment = experiments.FINANCIAL_MAB
    arms = {candidate.name for candidate in experiment.spec.candidates}
    found: dict[str, _Question] = {
        f"model {model.name}": _forecast(request, model.name, {model.name}, model.name)
        for model in models.MODELS
    }
    name = experiment.metadata.name
    found[f"experiment {name}"] = _forecast(request, f"{name}.experiment", arms, name)
    found[f"pipeline {decide.PIPELINE}"] = lambda client: _decision(client, request.symbol)
    return found


def _asked(client: httpx.Client, name: str, question: _Question, until: float) -> Check:
    tries = 0
    while True:
        tries += 1
        started = time.perf_counter()
        try:
            said, passed = question(client), True
        except (_WrongError, httpx.HTTPError) as error:
            said, passed = str(error) or type(error).__name__, False
        took = (time.perf_counter() - started) * 1000
        if passed or time.monotonic() + _RETRY_SECONDS > until:
            return Check(name, passed, said, round(took, 1), tries)
        time.sleep(_RETRY_SECONDS)


def _forecast(request: requests.Request, target: str, arms: set[str], path: str) -> _Question:
    body = predict.inference_request(request)

    def ask(client: httpx.Client) -> str:
        answer = client.post(
            f"/v2/models/{path}/infer", json=body, headers={"seldon-model": target}
        )
        outputs = _outputs(answer)
        volatility = _number(outputs, contract.VOLATILITY)
        low, high = _numbers(outputs, contract.INTERVAL, 2)
        direction = _number(outputs, contract.DIRECTION)
        _must(0 < volatility < _HIGHEST_VOLATILITY, f"volatility is {volatility}")
        _must(
            0 <= low <= volatility <= high, f"interval [{low}, {high}] is not around {volatility}"
        )
        _must(0 <= direction <= 1, f"direction is {direction}")
        arm = answer.headers.get("x-seldon-route", "").strip(":").rpartition("_")[0]
        _must(
            arm in arms, f"the route names {arm or 'nobody'} instead of {' or '.join(sorted(arms))}"
        )
        return f"{volatility:.1%} a year by {arm}"

    return ask


def _decision(client: httpx.Client, symbol: str) -> str:
    tensor = {"name": contract.SYMBOL, "shape": [1], "datatype": "BYTES", "data": [symbol]}
    answer = client.post(
        "/v2/models/any/infer",
        json={"inputs": [tensor]},
        headers={"seldon-model": f"{decide.PIPELINE}.pipeline"},
    )
    outputs = _outputs(answer)
    absent = [name for name in contract.DECISION_OUTPUTS if name not in outputs]
    _must(not absent, f"the answer lacks {', '.join(absent)}")
    prediction = _number(outputs, contract.PREDICTION)
    _must(0 < prediction < _HIGHEST_VOLATILITY, f"prediction is {prediction}")
    for name in (contract.CONFIDENCE, contract.QUALITY_SCORE):
        value = _number(outputs, name)
        _must(0 <= value <= 1, f"{name} is {value}")
    found = decide.read(answer, 0)
    _must(found.symbol == symbol, f"asked for {symbol}, answered for {found.symbol}")
    return f"{found.prediction:.1%} a year, quality {found.quality_score:.2f}"


def _outputs(answer: httpx.Response) -> dict[str, list[object]]:
    if answer.is_error:
        raise _WrongError(f"{answer.status_code}: {predict.message(answer)}")
    try:
        return {each["name"]: each["data"] for each in answer.json()["outputs"]}
    except (ValueError, KeyError, TypeError) as error:
        raise _WrongError(f"no answer of the inference protocol: {answer.text[:200]!r}") from error


def _number(outputs: dict[str, list[object]], name: str) -> float:
    return _numbers(outputs, name, 1)[0]


def _numbers(outputs: dict[str, list[object]], name: str, count: int) -> list[float]:
    values = outputs.get(name)
    _must(values is not None, f"the answer has no `{name}`")
    found = [each for each in values or () if isinstance(each, int | float) and math.isfinite(each)]
    _must(len(found) == count, f"`{name}` is {values}, expected {count} finite numbers")
    return [float(each) for each in found]


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _WrongError(otherwise)


def table(outcome: Outcome) -> rich.table.Table:
    """Draw it for a person."""
    shown = rich.table.Table(title=outcome.gateway, title_justify="left")
    for heading in ("asked", "", "answer"):
        shown.add_column(heading, overflow="fold")
    shown.add_column("ms", justify="right")
    for check in outcome.checks:
        mark = "[green]passed[/]" if check.passed else "[red]failed[/]"
        shown.add_row(check.name, mark, rich.markup.escape(check.said), f"{check.milliseconds:.0f}")
    return shown
