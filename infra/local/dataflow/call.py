"""One request's way through one pipeline.

A call is done by strands: a strand runs a step and goes on with what that made ready;
what else became ready gets a strand of its own.
The caller's own coroutine is the only strand as long as one step after another is ready and
no window is open: a chain costs no task.
From then on strands are tasks, and the caller waits for the outcome alone,
so that neither a slow branch nor a window keeps it longer than its answer needs.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from infra.local.dataflow import joins, plan
from infra.local.dataflow.errors import (
    BAD_REQUEST,
    UNAVAILABLE,
    CallError,
    ModelFailed,
    NotAnswered,
    NotServed,
    StepFailed,
)
from infra.local.dataflow.journal import Journal, Record
from infra.local.dataflow.tensors import Given, Headers, Message, Request, StepRequest

logger = logging.getLogger(__name__)

ROUTE_HEADER = "x-seldon-route"
ECHO_LIMIT = 200
"""How much of the caller's own tensor names an error repeats."""

Infer = Callable[[str, StepRequest], Awaitable[Given]]
"""Asks a model version. Raises `ModelFailed`, `NotServed`."""

_Ready = list[tuple[plan.Step, Message]]


class Answer(NamedTuple):
    """What a caller gets. `routes` are the steps that ran, in the order in which they ended."""

    message: Message
    routes: Headers


class Family(Protocol):
    """The calls that one request set off: its own, and those of pipelines that read from it."""

    def arrived(self, readers: list[plan.OutsideReader], message: Message) -> None:
        """Take what came to a topic that other pipelines read."""

    def ended(self) -> None:
        """Take that a call of it has ended."""


class Surroundings(NamedTuple):
    """What every call of an executor shares."""

    infer: Infer
    journal: Journal | None
    errors_topic: str
    step_took: Callable[[str, str, float], None]
    """Told the pipeline, the step and the seconds of each step that ran."""
    ended: Callable[[plan.Plan], None]


class Call:
    """One request at one pipeline."""

    def __init__(
        self, chosen: plan.Plan, request: Request, around: Surroundings, family: Family | None
    ) -> None:
        self._plan = chosen
        self._request = request
        self._around = around
        self._family = family
        self._loop = asyncio.get_running_loop()
        self._states = [joins.State(join) for join in chosen.joins]
        self._deadlines: dict[int, float] = {}
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0
        """When the timer ends: uvloop gives a handle that does not know it for what is due."""
        self._strands: set[asyncio.Task[None]] = set()
        self._inline = True
        self._answer: Answer | None = None
        self._error: BaseException | None = None
        self._stopped = False
        """After an error nothing new is started."""
        self._waiter: asyncio.Future[None] | None = None
        self._routes: Headers = ()
        self._unserved: dict[int, str] = {}
        self._records: list[Record] = []
        chosen.running += 1

    @property
    def version(self) -> str:
        """The pipeline's version that answers."""
        return self._plan.version

    @property
    def routes(self) -> Headers:
        """The steps that have run so far, and the headers that their models added."""
        return self._routes

    async def answer(self) -> Answer:
        """Run until there is an answer, or there can be none.

        What does not lead to the answer goes on beside. Raises `CallError`.
        """
        try:
            return await self._until_settled()
        finally:
            self._inline = False
            self._published_soon()
            if not self._strands:
                self._end()

    async def _until_settled(self) -> Answer:
        ready = self._begun()
        while not self._settled:
            if len(ready) == 1 and not self._strands and not self._deadlines:
                ready = await self._run(*ready[0])
                continue
            self._spawn(ready)
            ready = []
            self._waiter = self._loop.create_future()
            await self._waiter
        self._spawn(ready)
        if self._error is not None:
            raise self._error
        if self._answer is None:
            raise AssertionError("a settled call has an answer or an error")
        return self._answer

    @property
    def _settled(self) -> bool:
        return self._answer is not None or self._error is not None

    def _begun(self) -> _Ready:
        request = self._request
        at = self._loop.time()
        message = Message(request.tensors, at, request.parameters)
        self._record(plan.PIPELINE_INPUTS, message)
        ready: _Ready = []
        self._emit(plan.PIPELINE_INPUTS, message, ready)
        if not self._plan.has_output:
            names = ", ".join(step.name for step in self._plan.steps)
            self._fail(
                NotAnswered(
                    BAD_REQUEST,
                    f"pipeline {self._plan.name} has no output, so there is nothing to answer: "
                    f"its steps run ({names}); add `output` to the pipeline",
                ),
                stop=False,
            )
        return ready

    def _spawn(self, ready: _Ready) -> None:
        for step, message in ready:
            task = self._loop.create_task(self._strand(step, message))
            self._strands.add(task)
            task.add_done_callback(self._strand_ended)

    async def _strand(self, step: plan.Step, message: Message) -> None:
        ready = await self._run(step, message)
        while ready:
            self._spawn(ready[1:])
            ready = await self._run(*ready[0])

    def _strand_ended(self, task: asyncio.Task[None]) -> None:
        self._strands.discard(task)
        if task.cancelled():
            self._fail(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            logger.error("pipeline %s failed", self._plan.name, exc_info=error)
            self._fail(error)
        if not self._strands and not self._inline:
            self._published_soon()
            self._end()

    async def _run(self, step: plan.Step, message: Message) -> _Ready:
        """Run a step, and say which steps that made ready."""
        ready: _Ready = []
        if self._stopped:
            return ready
        began = time.perf_counter()
        request = self._request
        asked = StepRequest(request.id, message.tensors, message.parameters, request.headers)
        try:
            given = await self._ask(step, asked)
        except NotServed as error:
            self._unserved[step.number] = str(error)
            self._lose(plan.outputs_of(step.number), ready)
            return ready
        except ModelFailed as error:
            failed = StepFailed(step.name, error)
            self._record_error(step.name, failed.rpc, message)
            self._fail(self._blamed(step, failed))
            return ready
        self._around.step_took(self._plan.name, step.name, time.perf_counter() - began)
        route = ((ROUTE_HEADER, f":{given.answered_by}:"),)
        self._routes += route + given.headers
        out = Message(
            given.tensors,
            self._loop.time(),
            given.parameters,
            message.headers + route + given.headers,
        )
        self._record(plan.outputs_of(step.number), out, given)
        self._emit(plan.outputs_of(step.number), out, ready)
        return ready

    def _blamed(self, step: plan.Step, failed: StepFailed) -> CallError:
        """Say who is to blame for a step's error: not the caller, if what it needed was not there.

        An outer join hands over what came: a model that is not served, or is late, is missing in it.
        """
        told: dict[int, str] = {}
        lacks = [self._why_lost(number, told) for number in step.joins]
        late = any(self._states[number].late for number in step.joins)
        if not (late or told.keys() & self._unserved.keys()):
            return failed
        reasons = [
            f"{self._plan.steps[number].name} did not run: {told[number]}" for number in told
        ]
        return NotAnswered(UNAVAILABLE, "; ".join((str(failed), *filter(None, lacks), *reasons)))

    async def _ask(self, step: plan.Step, asked: StepRequest) -> Given:
        choice = self._plan.choices[step.number]
        if choice is None:
            raise NotServed(f"model {step.name} is not loaded")
        version = choice.version()
        if version is None:
            raise NotServed(f"all weights of model {step.name} are zero")
        infer = self._around.infer
        if step.batch is None:
            return await infer(version, asked)
        return await step.batch.ask(asked, functools.partial(infer, version))

    def _emit(self, topic: int, message: Message, ready: _Ready) -> None:
        """Give a topic's message to whoever reads it."""
        if self._stopped:
            return
        self._tell_outside(topic, message)
        for join, index, source in self._plan.readers[topic]:
            state = self._states[join]
            if state.settled:
                continue
            selected = source.select(message)
            if selected is None:
                state.lose(index, "empty", tuple([each.name for each in message.tensors]))
            else:
                state.arrive(index, selected)
            self._move(join, state, ready)

    def _tell_outside(self, topic: int, message: Message) -> None:
        readers = self._plan.outside.get(topic)
        if readers is not None and self._family is not None:
            self._family.arrived(readers, message)

    def _lose(self, topic: int, ready: _Ready) -> None:
        """Tell whoever reads a topic that nothing will come."""
        for join, index, _ in self._plan.readers[topic]:
            state = self._states[join]
            if not state.settled:
                state.lose(index, "absent")
                self._move(join, state, ready)

    def _move(self, join: int, state: joins.State, ready: _Ready) -> None:
        """Go on with what a join has become."""
        if not state.settled:
            deadline = state.deadline()
            if deadline is not None:
                self._deadlines[join] = deadline
                self._arm()
            return
        self._deadlines.pop(join, None)
        target = self._plan.targets[join]
        outcome = state.outcome
        if target.gate >= 0:
            gate = self._states[target.gate]
            if not gate.settled:
                if outcome is None:
                    gate.lose(target.side, "absent")
                else:
                    gate.arrive(target.side, outcome)
                self._move(target.gate, gate, ready)
        elif target.step == plan.OUTPUT:
            self._output(outcome)
        elif outcome is None:
            self._lose(plan.inputs_of(target.step), ready)
            self._lose(plan.outputs_of(target.step), ready)
        else:
            ready.append((self._plan.steps[target.step], outcome))
            self._record(plan.inputs_of(target.step), outcome)
            self._emit(plan.inputs_of(target.step), outcome, ready)

    def _output(self, message: Message | None) -> None:
        if message is None:
            if not self._settled:
                error = self._not_answered()
                self._record_error(self._plan.name, str(error), None)
                self._fail(error, stop=False)
            return
        self._record(self._plan.answers, message)
        self._tell_outside(self._plan.answers, message)
        if not self._settled:
            self._answer = Answer(message, self._routes)
            self._wake()

    def _fail(self, error: BaseException, *, stop: bool = True) -> None:
        if stop:
            self._stopped = True
            self._deadlines.clear()
        if not self._settled:
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _arm(self) -> None:
        """See to it that the window that ends first is ended in time."""
        first = min(self._deadlines.values())
        if self._timer is not None:
            if self._timer_at <= first:
                return
            self._timer.cancel()
        self._timer_at = first
        self._timer = self._loop.call_at(first, self._windows_ended)

    def _windows_ended(self) -> None:
        self._timer = None
        now = self._loop.time()
        ready: _Ready = []
        for join, deadline in list(self._deadlines.items()):
            state = self._states[join]
            if deadline <= now and not state.settled:
                state.expire()
                self._move(join, state, ready)
        self._spawn(ready)
        if self._deadlines:
            self._arm()

    def _record(self, topic: int, message: Message, given: Given | None = None) -> None:
        if self._around.journal is None:
            return
        chosen = self._plan
        is_request = topic != chosen.answers and (topic == 0 or topic % 2 == 1)
        self._records.append(
            Record(
                chosen.topic_names[topic],
                self._request,
                chosen.name,
                "" if topic == plan.PIPELINE_INPUTS else chosen.version,
                message,
                is_request,
                given.model_name if given is not None else "",
                given.model_version if given is not None else "",
            )
        )

    def _record_error(self, failed: str, text: str, message: Message | None) -> None:
        if self._around.journal is None:
            return
        self._records.append(
            Record(
                self._around.errors_topic,
                self._request,
                self._plan.name,
                self._plan.version,
                message,
                error=text,
                failed=failed,
            )
        )

    def _published_soon(self) -> None:
        """Hand over what is to be published, once the answer is on its way."""
        if self._records and self._around.journal is not None:
            records, self._records = self._records, []
            self._loop.call_soon(self._around.journal, records)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._plan.running -= 1
        self._around.ended(self._plan)
        if self._family is not None:
            self._family.ended()

    def _not_answered(self) -> NotAnswered:
        """Say why nothing can reach the output."""
        chosen = self._plan
        if not self._request.tensors:
            return NotAnswered(
                BAD_REQUEST,
                f"pipeline {chosen.name}: the request has no tensors: add them to `inputs`",
            )
        told: dict[int, str] = {}
        output = self._why_lost(len(chosen.joins) - 1, told)
        reasons = [f"{chosen.steps[number].name} did not run: {told[number]}" for number in told]
        return NotAnswered(
            UNAVAILABLE if told.keys() & self._unserved.keys() else BAD_REQUEST,
            "; ".join((f"pipeline {chosen.name} has no answer: {output}", *reasons)),
        )

    def _why_lost(self, number: int, told: dict[int, str]) -> str:
        """Say why a join is lost; `told` gets the reason of each step that it needed."""
        state, join = self._states[number], self._plan.joins[number]
        if join.gate:
            lost = [each for each in (number - 2, number - 1) if self._states[each].lost]
            if lost:
                return " and ".join(self._why_lost(each, told) for each in lost)
        reasons = []
        for index, (why, instead) in (state.why or {}).items():
            source = join.sources[index]
            if why == "absent":
                reasons.append(f"{source.text} gave nothing")
                self._tell_step(source.topic, told)
            else:
                wanted = " or ".join(sorted(source.tensors or ()))
                there = ", ".join(instead)[:ECHO_LIMIT] or "no tensor at all"
                reasons.append(f"{source.text} has no tensor {wanted}, it has {there}".strip())
        if state.late:
            waited = [
                source.text
                for index, source in enumerate(join.sources)
                if state.arrived[index] is None and index not in (state.why or {})
            ]
            reasons.append(
                f"{' and '.join(waited)} did not come within {join.window * 1000:g} ms of the rest"
            )
        return " and ".join(reasons)

    def _tell_step(self, topic: int, told: dict[int, str]) -> None:
        if topic == plan.PIPELINE_INPUTS:
            return
        step = self._plan.steps[(topic - 1) // 2]
        if step.number in told:
            return
        told[step.number] = ""  # keeps its place before what it needed in turn
        told[step.number] = self._unserved.get(step.number) or self._why_lost(step.joins[-1], told)
