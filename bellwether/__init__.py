"""The one command, on a laptop and in CI."""
