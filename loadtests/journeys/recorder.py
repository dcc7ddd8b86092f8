"""Locust's listeners: every request on record, and thresholds that set the exit code."""

import collections
import json
import time
from typing import Any

from loadtests import itinerary, plan, record, thresholds


class Recorder:
    """Writes a line for each request, and sums them up at the end."""

    def __init__(self, of: plan.Plan) -> None:
        self._plan = of
        self._began_at = 0.0
        self._began = 0.0
        self._due: collections.Counter[tuple[int, str]] = collections.Counter()
        self._limits = thresholds.read(of.stack)
        self._samples = of.samples.open("w", buffering=1 << 12)
        self._samples.write(record.HEADER)

    def listen(self, events: Any) -> None:
        """Register with Locust's `Events`."""
        events.test_start.add_listener(self.begin)
        events.request.add_listener(self.record)
        events.quitting.add_listener(self.judge)

    def begin(self, **_: Any) -> None:
        """Note when the test begins: samples count from there."""
        self._began_at, self._began = time.time(), time.perf_counter()

    def due(self, part: itinerary.Journey, at: float) -> None:
        """Count a request that was due `at` a time of `time.perf_counter`."""
        self._due[int(at - self._began), part.value] += 1

    def record(  # the names are Locust's
        self,
        response_time: float,
        context: dict[str, Any],
        exception: Exception | None,
        start_time: float,
        **_: Any,
    ) -> None:
        """Write one request down; of one that does not count only that it failed."""
        if not context["counts"] and not exception:
            return
        sample = record.Sample(
            at=start_time - self._began_at,
            journey=context["journey"],
            arm=context.get("arm", ""),
            milliseconds=response_time,
            failure=f"{type(exception).__name__}: {exception}" if exception else "",
        )
        self._samples.write(sample.line())

    def judge(self, environment: Any, **_: Any) -> None:
        """Sum up, and let the thresholds set the exit code."""
        from loadtests import summary  # noqa: PLC0415  (pandas and scipy would delay the start)

        self._samples.close()
        record.write_due(self._plan.due, self._due)
        came_out = summary.make(self._plan, self._limits)
        self._plan.summary.write_text(json.dumps(came_out.document(), indent=1, allow_nan=False))
        environment.process_exit_code = 0 if came_out.holds else 1
