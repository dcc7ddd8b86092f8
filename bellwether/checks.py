"""`make test`: lint, types and the tiers of tests, with one closing count."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET  # pytest's own report, read back at once

from bellwether import setup, steps
from infra import paths
from infra.local import toolchain

SOURCES = (
    "bellwether",
    "infra",
    "loadtests",
    "models",
    "policies",
    "runtimes",
    "scripts",
    "tests",
)

_COMMANDS = {
    "lint": (
        ("ruff", "check", *SOURCES),
        ("ruff", "format", "--check", *SOURCES),
        ("actionlint", "-color"),
        ("zizmor", "--offline", "--no-progress", "--quiet", ".github"),
    ),
    "types": (("mypy",),),
}
_TESTS = {
    "unit": ("tests/unit",),
    "cluster": ("tests/cluster",),
    "stack": ("tests/stack", "tests/conformance"),
    "browser": ("tests/browser",),
    "images": ("tests/images",),
}
_TOGETHER = ("stack", "browser")
"""Tiers that are one run where all of them are asked for: the environment comes up once."""
TIERS = (*_COMMANDS, *_TESTS)


def run(tiers: tuple[str, ...]) -> bool:
    """Run tiers one after another, show their output, and print the closing count.

    Returns:
        Whether nothing failed.

    """
    passed = failed = skipped = 0
    environment = {
        **os.environ,
        "BELLWETHER_SERVING_PYTHON": str(toolchain.python_of("serving")),
        "BELLWETHER_TRAINING_PYTHON": str(toolchain.python_of("training")),
        "BELLWETHER_MONITOR_PYTHON": str(toolchain.python_of("monitor")),
    }
    if "browser" in tiers:
        setup.install_browser()
    for names in _runs(tiers):
        started = time.monotonic()
        if names[0] in _COMMANDS:
            results = [_command(command, environment) for command in _COMMANDS[names[0]]]
            counts = (results.count(True), results.count(False), 0)
        else:
            folders = tuple(folder for name in names for folder in _TESTS[name])
            counts = _pytest(folders, environment)
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
        steps.console.print(f"{' and '.join(names)}: {time.monotonic() - started:.0f} s")
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)  # noqa: T201  the closing count is a result
    return failed == 0 and passed > 0


def _runs(tiers: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Give the tiers of each run."""
    together = tuple(tier for tier in tiers if tier in _TOGETHER)
    runs: list[tuple[str, ...]] = []
    for tier in tiers:
        if tier not in together:
            runs.append((tier,))
        elif together not in runs:
            runs.append(together)
    return runs


def _command(command: tuple[str, ...], environment: dict[str, str]) -> bool:
    built = {"actionlint": toolchain.actionlint()}
    program = built.get(command[0], pathlib.Path(sys.prefix) / "bin" / command[0])
    steps.console.print(f"$ {' '.join(command)}")
    return (
        subprocess.run(
            [program, *command[1:]], cwd=paths.ROOT, env=environment, check=False
        ).returncode
        == 0
    )


def _pytest(folders: tuple[str, ...], environment: dict[str, str]) -> tuple[int, int, int]:
    with tempfile.TemporaryDirectory() as temporary:
        report = pathlib.Path(temporary) / "report.xml"
        command = ("pytest", "-q", *folders, f"--junit-xml={report}", "--durations=10")
        good = _command(command, environment)
        if not report.exists():
            return 0, 1, 0
        suite = next(iter(ET.parse(report).getroot()))  # noqa: S314  written by pytest a moment ago
        total, failures, errors, skipped = (
            int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")
        )
        failed = failures + errors
        if not good and failed == 0:
            failed = 1  # pytest itself failed, such as on a test that could not be collected
        return max(total - failures - errors - skipped, 0), failed, skipped
