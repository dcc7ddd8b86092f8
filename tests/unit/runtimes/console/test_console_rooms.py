"""What the console is told, and what it may import."""

import json
import re
import subprocess
import sys

import pytest

from infra import paths
from runtimes.console import settings
from runtimes.contract import configuration

GIVEN = {
    "gateway": "http://127.0.0.1:9000",
    "api": "http://127.0.0.1:9020",
    "kafka": "127.0.0.1:9092",
    "valkey": "127.0.0.1:6379",
    "prometheus": "http://127.0.0.1:9090",
    "port": 8050,
}


def test_the_room_imports_nothing_of_another_but_what_acts_on_policies():
    """See docs/adr/0015."""
    program = (
        "import sys, runtimes.bandit.judging.acting; there = set(sys.modules); "
        "import runtimes.console.app; "
        "print(*sorted(name for name in set(sys.modules) - there "
        "if name.split('.')[0] in {'infra', 'models', 'runtimes', 'bellwether'}))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(paths.ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    allowed = re.compile(r"runtimes\.(contract|console)(\..+)?")
    assert [name for name in finished.stdout.split() if not allowed.fullmatch(name)] == []
    pattern = re.compile(r"^from (runtimes\.(?!console|contract)\S+)", re.MULTILINE)
    sources = (paths.ROOT / "runtimes" / "console").rglob("*.py")
    imported = {found for each in sources for found in pattern.findall(each.read_text())}
    assert imported == {"runtimes.bandit.judging"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gateway": "127.0.0.1:9000"}, "gateway: "),
        ({"kafka": "127.0.0.1"}, "kafka: .*expected host:port"),
        ({"port": 0}, "port: "),
        ({"gatway": "http://x"}, "gatway: .*known are gateway"),
    ],
)
def test_wrong_settings_are_named(tmp_path, change, said):
    path = tmp_path / "console.json"
    path.write_text(json.dumps({**GIVEN, **change}))
    with pytest.raises(configuration.ConfigurationError, match=said):
        settings.read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(configuration.ConfigurationError, match=r"none\.json: cannot be read"):
        settings.read(tmp_path / "none.json")
