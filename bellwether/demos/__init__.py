"""What the demos in `scripts/` are made of: each shows one claim on the running environment.

A demo asks through the gateway, shows a live table, ends by itself, and says what it measured,
whatever came out.
"""


class DemoError(Exception):
    """A demo cannot run, or cannot go on; the message says why, and what to do."""
