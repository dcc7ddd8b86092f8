#!/usr/bin/env -S uv run --no-sync
"""Why a model forecast what it did; `--help` names the options."""

from bellwether.demos import command, explaining

command.run(explaining.main)
