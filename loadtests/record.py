"""The file of samples: one line of CSV for each request of a load test."""

import csv
import dataclasses
import io

HEADER = "at,journey,arm,milliseconds,failure\n"
"""The first line."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One request: seconds since the start, journey, arm that answered, time, failure or empty."""

    at: float
    journey: str
    arm: str
    milliseconds: float
    failure: str

    def line(self) -> str:
        """Write the sample as one line; a failure's own line breaks become spaces."""
        out = io.StringIO()
        fields = (f"{self.at:.4f}", self.journey, self.arm, f"{self.milliseconds:.4f}")
        failure = " ".join(self.failure.split())
        csv.writer(out, lineterminator="\n").writerow((*fields, failure))
        return out.getvalue()
