"""Every alert has a page, and what a page tells a person to do can be done."""

import re
import shlex

import pytest
import typer
import typer.core

from bellwether import __main__ as command_line
from bellwether import status
from infra import paths
from infra.catalogue import alerts
from tests import promql

FOLDER = paths.ROOT / "docs" / "runbooks"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.stem != "README")
HEADINGS = ["What it means", "How to look", "How to mend", "How to silence"]
ALERTS = alerts.alerts(alerts.rules("local"))


def commands(text):
    """Every `bellwether` command in a page: in blocks, and within sentences."""
    spans = re.findall(r"`(uv run bellwether [^`\n]+)`", text)
    blocks = re.findall(r"^\$ (uv run bellwether .+)$", text, re.MULTILINE)
    return [shlex.split(each)[3:] for each in (*spans, *blocks)]


def check(arguments):
    """Parse a command as the command line would, without running it."""
    command = typer.main.get_command(command_line.app)
    context = command.make_context("bellwether", list(arguments))
    while isinstance(command, typer.core.TyperGroup):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_has_a_page_that_names_it(alert):
    page = FOLDER / f"{alert.runbook}.md"
    assert page.exists()
    assert alert.name in page.read_text().splitlines()[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_it_means_and_how_to_look_mend_and_silence(page):
    text = page.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert commands(text), "at least one command to begin with"
    for arguments in commands(text):
        check(arguments)
    for block in re.findall(r"```promql\n(.+?)```", text, re.DOTALL):
        assert promql.asked(block)
    for link in re.findall(r"\]\((\S+?\.md)\)", text):
        assert (FOLDER / link).exists(), link
    for log in re.findall(r"\.bellwether/logs/(\S+?)\.log", text):
        assert log in status._SHOWN_PORT, f"no part writes {log}.log"


def test_no_page_is_about_an_alert_that_is_gone():
    assert {page.stem for page in PAGES} == {alert.runbook for alert in ALERTS}


@pytest.mark.parametrize(
    "wrong", [["bandit", "thaw"], ["status", "--jsonn"], ["explain"], ["replay", "--speed", "x"]]
)
def test_a_command_that_there_is_not_would_be_noticed(wrong):
    with pytest.raises(Exception, match=r"(?i)no such|missing|valid number"):
        check(wrong)
