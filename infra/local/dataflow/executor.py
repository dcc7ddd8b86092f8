"""Executes pipelines: what the document says now, what still runs on what it said before."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Protocol

from infra.local.dataflow import joins, topics
from infra.local.dataflow.call import Answer, Call, Infer, Surroundings
from infra.local.dataflow.errors import CallError, UnknownPipeline
from infra.local.dataflow.journal import Journal
from infra.local.dataflow.plan import External, OutsideReader, Plan, Plans
from infra.local.dataflow.tensors import Message, Request
from infra.local.mesh import dataflow

logger = logging.getLogger(__name__)

EXTERNAL_CALLS = 1000
"""How many calls of pipelines that read from others may run at once; what comes more is dropped
and counted. Nobody waits for them, so nothing else holds them back."""


class Measures(Protocol):
    """Where counts go: `infra.local.dataflow.metrics`, which needs the serving environment."""

    def step_took(self, pipeline: str, step: str, seconds: float) -> None:
        """Count a step that ran."""

    def external_ended(self, pipeline: str, code: str, seconds: float) -> None:
        """Count a run that no caller waited for."""

    def external_dropped(self, pipeline: str) -> None:
        """Count a run that was left out."""


class Executor:
    """Answers requests to pipelines."""

    def __init__(
        self, infer: Infer, namespace: str, measures: Measures, journal: Journal | None = None
    ) -> None:
        self._namespace = namespace
        self._measures = measures
        self._around = Surroundings(
            infer, journal, topics.errors(namespace), measures.step_took, self._call_ended
        )
        self._plans = Plans(dataflow.Document(), namespace)
        self._former: set[Plan] = set()
        self._drains: list[tuple[str, asyncio.Future[None]]] = []
        self._external: set[asyncio.Task[None]] = set()

    @property
    def pipelines(self) -> Mapping[str, Plan]:
        """What can be called, by name."""
        return self._plans.pipelines

    def act_on(self, document: dataflow.Document) -> None:
        """Execute what a document says from now on; what runs ends as it began.

        Raises `ValueError` for a document that contradicts itself, and changes nothing.
        """
        plans = Plans(document, self._namespace)
        self._former.update(each for each in self._plans.pipelines.values() if each.running)
        self._plans = plans

    def topics(self) -> frozenset[str]:
        """Name every topic that is written to."""
        return self._plans.topics() | {self._around.errors_topic}

    def call(self, pipeline: str, request: Request) -> Call:
        """Begin a call, whose `answer` the caller awaits. Raises `UnknownPipeline`."""
        plans = self._plans
        plan = plans.pipelines.get(pipeline)
        if plan is None:
            raise UnknownPipeline(pipeline)
        family = _Family(self, request) if plans.has_external else None
        return self._begin(plan, request, family)

    async def answer(self, pipeline: str, request: Request) -> Answer:
        """Answer one request. Raises `CallError`."""
        return await self.call(pipeline, request).answer()

    def at(self, internal_name: str) -> int:
        """Count the calls that are at a model version, or may still come to it."""
        return sum(
            plan.running
            for plan in {*self._former, *self._plans.pipelines.values()}
            if internal_name in plan.versions
        )

    async def drained(self, internal_name: str) -> None:
        """Wait until no call is at a model version."""
        while self.at(internal_name):
            future = asyncio.get_running_loop().create_future()
            drain = internal_name, future
            self._drains.append(drain)
            try:
                await future
            finally:
                self._drains.remove(drain)

    def _begin(self, plan: Plan, request: Request, family: "_Family | None") -> Call:
        if family is not None:
            family.calls += 1
        return Call(plan, request, self._around, family)

    def _call_ended(self, plan: Plan) -> None:
        if plan.running == 0:
            self._former.discard(plan)
        for internal_name, future in self._drains:
            if internal_name in plan.versions and not future.done():
                future.set_result(None)

    def begin_external(self, external: External, message: Message, family: "_Family") -> None:
        """Run a pipeline on what others emitted, beside everybody's path."""
        plan = external.plan
        if len(self._external) >= EXTERNAL_CALLS:
            self._measures.external_dropped(plan.name)
            return
        request = Request(
            family.request.id, message.tensors, message.parameters, family.request.headers
        )
        task = asyncio.get_running_loop().create_task(
            self._external_call(self._begin(plan, request, family), plan.name)
        )
        self._external.add(task)
        task.add_done_callback(self._external.discard)

    async def _external_call(self, call: Call, pipeline: str) -> None:
        """Run a call that nobody waits for: its errors are published, and counted here."""
        began = time.perf_counter()
        try:
            await call.answer()
        except CallError as error:
            code = str(error.status)
        except Exception:
            code = "500"
            logger.exception("pipeline %s failed on what another emitted", pipeline)
        else:
            code = "200"
        self._measures.external_ended(pipeline, code, time.perf_counter() - began)


class _Family:
    """What one request set off: joins between pipelines are among the calls of one family.

    A pipeline runs at most once a family, so that two that read from each other come to an end.
    """

    def __init__(self, executor: Executor, request: Request) -> None:
        self.calls = 0
        self.request = request
        self._executor = executor
        self._states: dict[External, list[joins.State]] = {}
        self._decided: set[External] = set()
        """Those that have run, or never will."""
        self._timers: dict[External, asyncio.TimerHandle] = {}

    def arrived(self, readers: list[OutsideReader], message: Message) -> None:
        """Take what came to a topic that other pipelines read."""
        for external, join, index, source in readers:
            if external in self._decided:
                continue
            states = self._states.get(external)
            if states is None:
                states = self._states[external] = [joins.State(each) for each in external.joins]
            if states[join].settled:
                continue
            selected = source.select(message)
            if selected is None:
                states[join].lose(index, "empty")
            else:
                states[join].arrive(index, selected)
            self._move(external, states, join)

    def ended(self) -> None:
        """Take that a call of it has ended; with the last, outer joins take what is there.

        One of them at a time: what it sets off may be what another waits for.
        """
        self.calls -= 1
        for external, states in list(self._states.items()):
            if self.calls:
                return
            if external in self._decided or all(each.join.kind != "outer" for each in states):
                continue
            # Triggers and inputs; a gate follows from them.
            for join, state in enumerate(states[:2]):
                for place, message in enumerate(state.arrived):
                    known = message is not None or place in (state.why or {})
                    if not known and not state.settled:
                        state.lose(place, "absent")
                        self._move(external, states, join)

    def _move(self, external: External, states: list[joins.State], join: int) -> None:
        """Go on with what a join has become."""
        if external in self._decided:
            return
        state, last = states[join], states[-1]
        if state.settled and state is not last and not last.settled:
            if state.outcome is None:
                last.lose(join, "absent")
            else:
                last.arrive(join, state.outcome)
        if not last.settled:
            self._arm(external, states)
            return
        self._decided.add(external)
        self._disarm(external)
        if last.outcome is not None:
            self._executor.begin_external(external, last.outcome, self)

    def _disarm(self, external: External) -> None:
        timer = self._timers.pop(external, None)
        if timer is not None:
            timer.cancel()

    def _arm(self, external: External, states: list[joins.State]) -> None:
        """Windows of outer joins end by themselves; an inner partner is checked when it comes."""
        self._disarm(external)
        ends = [
            end
            for state in states
            if state.join.kind == "outer" and not state.settled
            for end in (state.deadline(),)
            if end is not None
        ]
        if ends:
            loop = asyncio.get_running_loop()
            self._timers[external] = loop.call_at(min(ends), self._window_ended, external)

    def _window_ended(self, external: External) -> None:
        self._timers.pop(external, None)
        states = self._states[external]
        now = asyncio.get_running_loop().time()
        for join, state in enumerate(states):
            end = state.deadline() if state.join.kind == "outer" and not state.settled else None
            if end is not None and end <= now:
                state.expire()
                self._move(external, states, join)
