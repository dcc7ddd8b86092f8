#!/usr/bin/env -S uv run --no-sync
"""An experiment whose weights move to what earns, live; `--help` names the options."""

from bellwether.demos import bandit, command

command.run(bandit.main)
