#!/usr/bin/env -S uv run --no-sync
"""The feature store, and history streaming through it; `--help` names the options."""

from bellwether.demos import command, store

command.run(store.main)
