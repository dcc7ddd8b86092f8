import datetime as dt
import pathlib
from collections.abc import Callable

import pytest

from models import csvs, data, sources

HEADER = "Date,Open,High,Low,Close,Volume"


def lines(days: int = 320) -> list[str]:
    start = dt.date(2020, 1, 1)
    rows = []
    for number in range(days):
        close = 100 + number % 7
        date = start + dt.timedelta(days=number)
        rows.append(f"{date},{close},{close + 1},{close - 1},{close},1000")
    return [HEADER, *rows]


def write(folder: pathlib.Path, content: list[str], name: str = "ABC.csv") -> pathlib.Path:
    path = folder / name
    path.write_text("\n".join(content) + "\n", encoding="utf-8")
    return path


def with_line(number: int, text: str) -> Callable[[list[str]], list[str]]:
    """Replace the line `number`, counted as an editor counts."""
    return lambda content: [*content[: number - 1], text, *content[number:]]


def test_a_sound_file_has_no_problem(tmp_path: pathlib.Path) -> None:
    rows, problems = csvs.read(write(tmp_path, lines()))
    assert problems == []
    assert len(rows) == 320
    assert rows[0] == csvs.Row(2, dt.date(2020, 1, 1), 100, 101, 99, 100, 1000, 1.0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (with_line(1, "Date,Open,High,Close"), ["line 1", "lacks Low, Volume", "name the columns"]),
        (
            lambda content: content[:100] + content[130:],
            ["between 2020-04-08 (line 100) and 2020-05-09 (line 101), 31 days", "14 calendar"],
        ),
        (
            lambda content: [*content[:11], content[10], *content[11:]],
            ["lines 11 and 12 (2020-01-10)", "twice", "one row a day"],
        ),
        (with_line(5, "2020-01-04,0,101,99,100,1"), ["line 5 (2020-01-04) Open 0", "zero or neg"]),
        (
            with_line(5, "2020-01-04,100,101,-9,100,1"),
            ["line 5 (2020-01-04) Low -9", "zero or neg"],
        ),
        (with_line(5, "2020-01-04,100,101,,100,1"), ["line 5 (2020-01-04) Low empty", "missing"]),
        (with_line(5, "2020-01-04,100,nan,9,100,1"), ["line 5 (2020-01-04) High nan", "missing"]),
        (with_line(5, "2020-01-04,100,inf,9,100,1"), ["line 5 (2020-01-04) High inf", "finite"]),
        (with_line(5, "2020-01-04,100,98,99,100,1"), ["line 5 (2020-01-04)", "High is below Low"]),
        (with_line(5, "2020-01-04,150,101,99,100,1"), ["line 5 (2020-01-04) Open 150", "outside"]),
        (with_line(5, "2020-01-04,100,101,99,90,1"), ["line 5 (2020-01-04) Close 90", "outside"]),
        (
            with_line(5, "2020-01-04,100,101,99,100,-1"),
            ["line 5 (2020-01-04) Volume -1", "negative"],
        ),
        (with_line(5, "4 Jan 2020,100,101,99,100,1"), ["line 5 ('4 Jan 2020')", "YYYY-MM-DD"]),
        (with_line(5, "2020-01-04,1x0,101,99,100,1"), ["line 5 (2020-01-04) Open '1x0'", "number"]),
        (
            lambda content: [content[0], *content[:0:-1]],
            ["line 3 (2020-11-14 after 2020-11-15)", "not ascending", "sort the rows"],
        ),
        (lambda content: content[:42], ["has 41 readable rows, at least 300", "longer history"]),
        (lambda content: content[:1], ["has 0 readable rows"]),
    ],
)
def test_what_is_wrong_is_said_with_file_place_and_remedy(
    tmp_path: pathlib.Path, change: Callable[[list[str]], list[str]], expected: list[str]
) -> None:
    path = write(tmp_path, change(lines()))
    with pytest.raises(sources.DataError) as caught:
        data.load(sources.Source(tmp_path))
    message = str(caught.value)
    assert str(path) in message
    assert "To mend it: " in message
    for part in expected:
        assert part in message


def test_an_empty_file_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "ABC.csv").write_text("")
    with pytest.raises(sources.DataError, match=r"ABC\.csv: is empty"):
        data.load(sources.Source(tmp_path))


def test_a_file_that_is_no_text_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "ABC.csv").write_bytes(b"\xff\xfe\x00Date")
    with pytest.raises(sources.DataError, match=r"ABC\.csv: cannot be read .*UTF-8"):
        data.load(sources.Source(tmp_path))


def test_all_problems_of_all_files_are_said_at_once(tmp_path: pathlib.Path) -> None:
    first = with_line(5, "2020-01-04,-1,101,99,100,1")(lines())
    write(tmp_path, with_line(9, "2020-01-08,100,98,99,100,1")(first), "ABC.csv")
    write(tmp_path, lines(10), "DEF.csv")
    with pytest.raises(sources.DataError) as caught:
        data.load(sources.Source(tmp_path))
    message = str(caught.value)
    assert "Open -1" in message
    assert "High is below Low" in message
    assert "DEF.csv: has 10 readable rows" in message


def test_many_problems_of_one_kind_are_counted_after_five_examples(tmp_path: pathlib.Path) -> None:
    content = [line.replace(",1000", ",-1000") for line in lines()]
    _, problems = csvs.read(write(tmp_path, content))
    assert len(problems) == 1
    assert "and 315 more" in problems[0]


def test_adjusted_closes_adjust_all_prices_alike(tmp_path: pathlib.Path) -> None:
    content = [f"{HEADER},Adj Close"]
    content += [f"{line},{float(line.split(',')[4]) / 2}" for line in lines()[1:]]
    write(tmp_path, content)
    frame = data.load(sources.Source(tmp_path))["ABC"]
    assert frame.iloc[0][["open", "high", "low", "close"]].tolist() == [50.0, 50.5, 49.5, 50.0]


def test_columns_are_found_in_any_order_and_case_and_others_are_left_alone(
    tmp_path: pathlib.Path,
) -> None:
    content = ["close,VOLUME,date,Note,low,High,open"]
    for line in lines()[1:]:
        date, open_, high, low, close, volume = line.split(",")
        content.append(",".join([close, volume, f"{date} 00:00:00", "x", low, high, open_]))
    rows, problems = csvs.read(write(tmp_path, content))
    assert problems == []
    assert rows[0].high == 101


def test_a_missing_folder_is_named_with_the_alternative(tmp_path: pathlib.Path) -> None:
    with pytest.raises(sources.DataError, match=r"nowhere: does not exist.*leave --data out"):
        sources.Source(tmp_path / "nowhere").files()


def test_an_empty_folder_is_named_with_what_belongs_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(sources.DataError, match=r"holds no \.csv file.*SPX\.csv"):
        sources.Source(tmp_path).digest()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path, lines())
    with pytest.raises(sources.DataError, match="is no folder"):
        sources.Source(path).files()


def test_a_digest_follows_bytes_and_symbols(tmp_path: pathlib.Path) -> None:
    write(tmp_path, lines())
    source = sources.Source(tmp_path)
    before = source.digest()
    assert sources.Source(tmp_path).digest() == before
    write(tmp_path, lines(321))
    after = source.digest()
    assert after != before
    (tmp_path / "ABC.csv").rename(tmp_path / "XYZ.csv")
    assert source.digest() not in {before, after}
