"""Reads one symbol's OHLCV file, and says everything that is wrong with it.

The rules: the columns Date, Open, High, Low, Close, Volume (in any order and case; others are
ignored, except `Adj Close`, which adjusts the prices);
dates as YYYY-MM-DD, ascending, none twice, no more than 14 calendar days apart
(exchanges have closed for up to 11, around Chinese New Year);
prices finite and above zero, Low <= Open, Close <= High; volume finite and not below zero
(0 throughout, for an index without volume, is fine); at least 300 rows.
"""

import csv
import dataclasses
import datetime as dt
import itertools
import math
import pathlib
from collections.abc import Iterator, Sequence

COLUMNS = ("date", "open", "high", "low", "close", "volume")
PRICES = ("open", "high", "low", "close")
ADJUSTED = "adj close"
LONGEST_GAP = dt.timedelta(days=14)
FEWEST_ROWS = 300
HEADER = "line 1"
EXAMPLES = 5
"""Places that are named for each kind of problem; of the others, the number."""
ROUNDING = 1e-6
"""Relative slack for Open and Close against High and Low: adjusted prices are rounded."""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One trading day, with the line of the file that it stands in."""

    line: int
    date: dt.date
    open: float
    high: float
    low: float
    close: float
    volume: float
    factor: float
    """Adj Close / Close, or 1."""


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in one place."""

    where: str
    what: str
    mend: str


def read(path: pathlib.Path) -> tuple[list[Row], list[str]]:
    """Read `path`: its rows, sound or not, and a message for each kind of problem found."""
    problems: list[Problem] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(_rows(csv.reader(lines), problems))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return [], [f"{path}: cannot be read ({error}); save it as a CSV file in UTF-8"]
    if not any(problem.where == HEADER for problem in problems):
        problems += [*_check_dates(rows), *_check_prices(rows), *_check_length(rows)]
    return rows, list(_messages(path, problems))


def _rows(reader: Iterator[list[str]], problems: list[Problem]) -> Iterator[Row]:
    header = next(reader, None)
    if header is None:
        problems.append(Problem(HEADER, "is empty", "write a header and one row a trading day"))
        return
    places = {name.strip().lower(): place for place, name in enumerate(header)}
    if missing := [name.capitalize() for name in COLUMNS if name not in places]:
        problems.append(
            Problem(
                HEADER,
                f"the header lacks {', '.join(missing)} (it has {', '.join(header)})",
                "name the columns Date, Open, High, Low, Close, Volume, separated by commas",
            )
        )
        return
    for number, cells in enumerate(reader, start=2):
        if any(cell.strip() for cell in cells):
            row = _row(number, cells, places, problems)
            if row is not None:
                yield row


def _row(
    line: int, cells: Sequence[str], places: dict[str, int], problems: list[Problem]
) -> Row | None:
    def cell(name: str) -> str:
        place = places[name]
        return cells[place].strip() if place < len(cells) else ""

    date = _date(cell("date"))
    if date is None:
        problems.append(
            Problem(
                f"line {line} ({cell('date')!r})",
                "the date cannot be read",
                "write dates as YYYY-MM-DD",
            )
        )
        return None
    where = f"line {line} ({date})"
    numbers: dict[str, float] = {}
    for name in (*COLUMNS[1:], *([ADJUSTED] if ADJUSTED in places else [])):
        text = cell(name)
        number = _number(text)
        if number is None:
            problems.append(
                Problem(
                    f"{where} {name.title()} {text!r}",
                    "a value is no number",
                    "write plain decimal numbers, without thousands separators or units",
                )
            )
            return None
        if not math.isfinite(number):
            problems.append(
                Problem(
                    f"{where} {name.title()} {text or 'empty'}",
                    "a value is missing or not finite",
                    "fill it in, or leave the whole day out",
                )
            )
            return None
        numbers[name] = number
    adjusted = numbers.pop(ADJUSTED, numbers["close"])
    if adjusted <= 0.0 < numbers["close"]:
        problems.append(
            Problem(f"{where} Adj Close {adjusted:g}", "a price is zero or negative", _MEND_PRICE)
        )
        return None
    factor = adjusted / numbers["close"] if numbers["close"] > 0 else 1.0
    return Row(line=line, date=date, factor=factor, **numbers)


_MEND_PRICE = "logarithms need prices above zero: correct it, or leave the whole day out"


def _date(text: str) -> dt.date | None:
    try:
        return dt.datetime.fromisoformat(text).date()
    except ValueError:
        return None


def _number(text: str) -> float | None:
    if not text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        return None


def _check_dates(rows: Sequence[Row]) -> Iterator[Problem]:
    first_line: dict[dt.date, int] = {}
    for row in rows:
        if row.date in first_line:
            yield Problem(
                f"lines {first_line[row.date]} and {row.line} ({row.date})",
                "a date occurs twice",
                "keep one row a day",
            )
        first_line.setdefault(row.date, row.line)
    for before, after in itertools.pairwise(rows):
        if after.date < before.date:
            yield Problem(
                f"line {after.line} ({after.date} after {before.date})",
                "the dates are not ascending",
                "sort the rows by date, oldest first",
            )
    dates = sorted(first_line)
    for earlier, later in itertools.pairwise(dates):
        if later - earlier > LONGEST_GAP:
            yield Problem(
                f"between {earlier} (line {first_line[earlier]}) and {later} "
                f"(line {first_line[later]}), {(later - earlier).days} days",
                f"there is a gap of more than {LONGEST_GAP.days} calendar days",
                "add the missing days, or begin the file after the gap",
            )


def _check_prices(rows: Sequence[Row]) -> Iterator[Problem]:
    for row in rows:
        where = f"line {row.line} ({row.date})"
        if bad := [name for name in PRICES if getattr(row, name) <= 0.0]:
            values = ", ".join(f"{name.title()} {getattr(row, name):g}" for name in bad)
            yield Problem(f"{where} {values}", "a price is zero or negative", _MEND_PRICE)
        elif row.high < row.low:
            yield Problem(
                f"{where} High {row.high:g}, Low {row.low:g}",
                "High is below Low",
                "correct the prices, or leave the whole day out",
            )
        else:
            low, high = row.low * (1 - ROUNDING), row.high * (1 + ROUNDING)
            for name in ("open", "close"):
                price: float = getattr(row, name)
                if not low <= price <= high:
                    yield Problem(
                        f"{where} {name.title()} {price:g}, Low {row.low:g}, High {row.high:g}",
                        "Open or Close lies outside Low and High",
                        "correct the prices, or leave the whole day out",
                    )
        if row.volume < 0:
            yield Problem(
                f"{where} Volume {row.volume:g}", "a volume is negative", "write 0 if unknown"
            )


def _check_length(rows: Sequence[Row]) -> Iterator[Problem]:
    if len(rows) < FEWEST_ROWS:
        yield Problem(
            "",
            f"has {len(rows)} readable rows, at least {FEWEST_ROWS} are needed "
            "(features and history look back over them, a part is held out)",
            "give a longer history, or take the file out of the folder",
        )


def _messages(path: pathlib.Path, problems: Sequence[Problem]) -> Iterator[str]:
    kinds: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        kinds.setdefault((problem.what, problem.mend), []).append(problem.where)
    for (what, mend), places in kinds.items():
        named = "; ".join(place for place in places[:EXAMPLES] if place)
        more = f"; and {len(places) - EXAMPLES} more" if len(places) > EXAMPLES else ""
        yield f"{path}: {what}" + (f": {named}{more}" if named else "") + f". To mend it: {mend}."
