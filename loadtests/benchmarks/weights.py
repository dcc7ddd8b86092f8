"""How soon a new split acts: an experiment's weights are flipped between two arms, over and over.

Each flip is one PATCH to the mesh, 0/100 <-> 100/0, while callers keep asking the experiment.
Measured from the moment the PATCH is sent, on one clock:

- *first new*: until the first answer by the arm that now has all the weight;
- *last old*: until the last request was sent that the other arm still answered.

The next flip comes once the PATCH is answered and every caller got the new arm a few times.
The weights that were there before are written back, whatever happens.
"""

import collections.abc
import dataclasses
import itertools
import json
import time
from typing import Any

import numpy as np

from loadtests import endpoints, mesh, samples, wire
from loadtests.benchmarks import benchmark

NAME = "weights"
ABOUT = "time from a PATCH of an experiment's weights to the new split: idle, and beside 8 callers"

FLIPS = 1000
CALLERS = 8
_STEADY = 3
_DEADLINE = 10.0


@dataclasses.dataclass(slots=True)
class _Flip:
    """One PATCH: when it was sent, and what was seen of it."""

    arm: str
    sent: float
    answered: float | None = None
    first_new: float | None = None
    last_old: float = 0.0
    steady: dict[int, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds over all flips."""

    p50: float
    p99: float
    maximum: float

    @classmethod
    def of(cls, values: list[float]) -> "Timing":
        """Sum up one value a flip, in seconds; percentiles by nearest rank."""
        p50, p99, maximum = np.percentile(values, [50, 99, 100], method="inverted_cdf") * 1e3
        return cls(float(p50), float(p99), float(maximum))


def run(context: benchmark.Context) -> benchmark.Result:
    """Flip idle (one caller that watches) and beside 8 callers; see the module's description.

    A bandit policy that owns the weights would write them back: it is frozen meanwhile.
    """
    with mesh.left_alone(context.where, context.experiment):
        return _run(context)


def _run(context: benchmark.Context) -> benchmark.Result:
    before = mesh.experiment(context.where, context.experiment)
    if len(before.arms) < 2:  # noqa: PLR2004  (a flip needs two)
        raise endpoints.LoadTestError(
            f"experiment {before.name!r} has the candidates {', '.join(before.arms) or 'none'}; "
            "a flip of weights needs two"
        )
    modes = (("idle", 1), (f"beside {CALLERS} callers", CALLERS))
    document: dict[str, Any] = {"flips": FLIPS, "experiment": before.name, "modes": {}}
    rows = []
    try:
        for number, (mode, callers) in enumerate(modes):
            run_of_mode = _Run(context, before, callers)

            def progress(done: float, number: int = number, mode: str = mode) -> None:
                context.progress((number + done) / len(modes), f"{FLIPS} PATCHes, {mode}")

            run_of_mode.flip(FLIPS, progress)
            document["modes"][mode] = run_of_mode.document()
            rows += run_of_mode.rows(mode)
    finally:
        mesh.set_weights(context.where, before.name, before.weights)
    _check_restored(context, before)
    return benchmark.Result(
        tables=(
            benchmark.Table(
                f"{FLIPS} changes of the weights of {before.name}, ms after the PATCH was sent",
                ("", "", "p50", "p99", "max", "requests", "failed"),
                tuple(rows),
                note="weights are as they were before",
            ),
        ),
        document=document,
    )


def _check_restored(context: benchmark.Context, before: mesh.Experiment) -> None:
    after = mesh.experiment(context.where, before.name)
    if after != before:
        raise endpoints.LoadTestError(
            f"the weights of {before.name!r} were {dict(before.weights)} and are now "
            f"{dict(after.weights)}: something else writes them; set them again"
        )


class _Run:
    """Flips in one mode, and what the callers saw."""

    def __init__(self, context: benchmark.Context, before: mesh.Experiment, callers: int) -> None:
        self._mesh = endpoints.address(context.where.mesh)
        gateway = endpoints.address(context.where.gateway)
        headers = endpoints.experiment_header(before.name)
        path = endpoints.infer_path(before.name)
        self._requests = itertools.cycle(
            wire.compose("POST", gateway, path, headers, body) for body in samples.bodies()
        )
        arms = before.arms[:2]
        self._patches = {arm: self._patch(context, before, arm) for arm in arms}
        self._turn = itertools.cycle(reversed(arms))
        self._flips: list[_Flip] = []
        self._asked = 0
        self._failures: list[str] = []
        self._patcher = wire.Caller(wire.Connection(self._mesh), self._patched, self._patch_failed)
        self._callers = [self._caller(gateway, number) for number in range(callers)]

    def flip(self, flips: int, progress: collections.abc.Callable[[float], None]) -> None:
        """Start the callers, flip, and stop."""
        first = next(self._turn)

        def done() -> bool:
            flip = self._flips[-1]
            if time.perf_counter() - flip.sent > _DEADLINE:
                raise endpoints.LoadTestError(
                    f"weights that were all given to {flip.arm!r} did not act in {_DEADLINE:g} s "
                    f"(flip {len(self._flips)}): `bellwether status` tells how mesh and Envoy are"
                )
            if not self._is_settled(flip):
                return False
            if len(self._flips) > flips:
                return True
            if len(self._flips) % 25 == 0:
                progress(len(self._flips) / flips)
            self._flip(next(self._turn))
            return False

        try:
            for caller in self._callers:
                caller.send(next(self._requests))
            self._flip(first)
            wire.drive([self._patcher, *self._callers], done)
        finally:
            for caller in (self._patcher, *self._callers):
                caller.connection.close()
        del self._flips[0]  # from the split that was there before: other arms answered too

    def document(self) -> dict[str, Any]:
        """Sum up for programs."""
        return {
            "first_new_ms": dataclasses.asdict(self._first_new()),
            "last_old_ms": dataclasses.asdict(self._last_old()),
            "patch_ms": dataclasses.asdict(self._patch_time()),
            "requests": self._asked,
            "failed": len(self._failures),
            "failures": sorted(set(self._failures))[:10],
        }

    def rows(self, mode: str) -> list[tuple[str, ...]]:
        """Sum up for people."""
        named = (
            ("first answer of the new split", self._first_new()),
            ("last request of the old split", self._last_old()),
            ("PATCH answered", self._patch_time()),
        )
        counted = (f"{self._asked:,}", str(len(self._failures)))
        return [
            (
                mode if number == 0 else "",
                name,
                *(f"{value:.1f}" for value in dataclasses.astuple(timing)),
                *(counted if number == 0 else ("", "")),
            )
            for number, (name, timing) in enumerate(named)
        ]

    def _first_new(self) -> Timing:
        return Timing.of([(flip.first_new or 0) - flip.sent for flip in self._flips])

    def _last_old(self) -> Timing:
        return Timing.of([max(0.0, flip.last_old - flip.sent) for flip in self._flips])

    def _patch_time(self) -> Timing:
        return Timing.of([(flip.answered or 0) - flip.sent for flip in self._flips])

    def _caller(self, gateway: endpoints.Address, number: int) -> wire.Caller:
        def answered(answer: wire.Answer) -> bytes:
            return self._answered(number, answer)

        return wire.Caller(wire.Connection(gateway), answered, self._failed)

    def _patch(self, context: benchmark.Context, before: mesh.Experiment, arm: str) -> bytes:
        weights = [(name, 100 if name == arm else 0) for name in before.arms]
        return wire.compose(
            "PATCH",
            self._mesh,
            mesh.experiment_path(context.where, before.name),
            mesh.PATCH_HEADERS,
            json.dumps(mesh.weights_patch(weights)).encode(),
        )

    def _flip(self, arm: str) -> None:
        self._flips.append(_Flip(arm, sent=time.perf_counter()))
        self._patcher.send(self._patches[arm])

    def _is_settled(self, flip: _Flip) -> bool:
        return (
            flip.answered is not None
            and len(flip.steady) == len(self._callers)
            and min(flip.steady.values()) >= _STEADY
        )

    def _answered(self, caller: int, answer: wire.Answer) -> bytes:
        self._asked += 1
        flip = self._flips[-1]
        if not answer.ok or answer.arm is None:
            self._failures.append(f"status {answer.status}: {answer.body[:200]!r}")
        elif answer.arm.model == flip.arm:
            if flip.first_new is None:
                flip.first_new = answer.received
            flip.steady[caller] = flip.steady.get(caller, 0) + 1
        else:
            flip.last_old = max(flip.last_old, answer.sent)
            flip.steady[caller] = 0
        return next(self._requests)

    def _failed(self, error: wire.WireError) -> bytes:
        self._asked += 1
        self._failures.append(str(error))
        return next(self._requests)

    def _patched(self, answer: wire.Answer) -> None:
        if not answer.ok:
            raise endpoints.LoadTestError(
                f"the mesh refused a PATCH of the weights: {answer.status} {answer.body[:300]!r}"
            )
        self._flips[-1].answered = answer.received

    def _patch_failed(self, error: wire.WireError) -> None:
        raise endpoints.LoadTestError(f"a PATCH of the weights got no answer: {error}") from error
