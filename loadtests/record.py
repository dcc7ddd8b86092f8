"""The files of a load test: one line of CSV for each request, and how many were due."""

import collections.abc
import csv
import dataclasses
import io
import pathlib

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


def write_due(path: pathlib.Path, counts: collections.abc.Mapping[tuple[int, str], int]) -> None:
    """Write how many requests were due, by second and journey."""
    lines = [f"{second},{journey},{count}\n" for (second, journey), count in sorted(counts.items())]
    path.write_text("second,journey,count\n" + "".join(lines))
