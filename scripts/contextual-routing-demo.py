#!/usr/bin/env -S uv run --no-sync
"""Routing by the market's regime on real days, measured; `--help` names the options."""

from bellwether.demos import command, routing

command.run(routing.main)
