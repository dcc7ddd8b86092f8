"""Where market data comes from: the `arch` package's sets, or a folder of CSV files.

Nothing here reads the data: naming a source and taking its digest need no pandas.
"""

import dataclasses
import hashlib
import importlib.util
import pathlib

ARCH = {"SPX": "sp500", "IXIC": "nasdaq", "WTI": "wti", "VIX": "vix"}
"""Symbols, with the names of the sets in `arch.data`."""


class DataError(Exception):
    """Market data is missing or wrong: the message says what, where, and how to mend it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """The `arch` package's sets, or the CSV files in `folder`."""

    folder: pathlib.Path | None = None

    @property
    def description(self) -> str:
        """What the source is, for a model card."""
        if self.folder is None:
            return "daily data in the arch package (S&P 500, NASDAQ, WTI, VIX)"
        return "OHLCV CSV files"

    @property
    def licence(self) -> str:
        """Under which licence the data is."""
        if self.folder is None:
            return "NCSA, as part of the arch package"
        return "not stated: that of the CSV files"

    def files(self) -> dict[str, pathlib.Path]:
        """Give every symbol's file; raise DataError if there is none."""
        if self.folder is None:
            return {symbol: _arch_file(name) for symbol, name in ARCH.items()}
        if not self.folder.is_dir():
            reason = "is no folder" if self.folder.exists() else "does not exist"
            raise DataError(
                f"{self.folder}: {reason}; give a folder with one OHLCV CSV file a symbol, "
                "or leave --data out for the arch package's data"
            )
        found = sorted(path for path in self.folder.iterdir() if path.suffix.lower() == ".csv")
        if not found:
            raise DataError(
                f"{self.folder}: holds no .csv file; put one a symbol there, such as SPX.csv, "
                "with the columns Date, Open, High, Low, Close, Volume"
            )
        files: dict[str, pathlib.Path] = {}
        for path in found:
            if path.stem in files:
                raise DataError(
                    f"{path}: {files[path.stem].name} has the same symbol; keep one of them"
                )
            files[path.stem] = path
        return files

    def digest(self) -> str:
        """Give the SHA-256 over every symbol and its file's bytes, in hexadecimal."""
        total = hashlib.sha256()
        for symbol, path in sorted(self.files().items()):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{symbol} {content}\n".encode())
        return total.hexdigest()


def _arch_file(name: str) -> pathlib.Path:
    # Finding a package imports nothing of it; importing it would bring pandas and scipy.
    package = importlib.util.find_spec("arch")
    if package is None or package.origin is None:
        raise DataError(
            "the package `arch`, which brings the market data, is not installed; "
            "run `uv sync`, or give a folder of CSV files with --data"
        )
    # The package names the file of its sets after them, sp500/sp500.csv.gz.
    return pathlib.Path(package.origin).parent / "data" / name / f"{name}.csv.gz"
