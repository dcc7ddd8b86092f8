"""Run the console: `python -m runtimes.console CONFIG.json`, see `settings.Settings`."""

import logging
import pathlib
import sys
from collections.abc import Sequence

import uvicorn

from runtimes.contract import configuration

from . import app, settings


def main(arguments: Sequence[str]) -> int:
    """Serve until asked to end; give the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m runtimes.console CONFIG.json\n")
        return 2
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        given = settings.read(pathlib.Path(arguments[0]))
    except configuration.ConfigurationError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    uvicorn.run(
        app.make(given),
        host=given.host,
        port=given.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
        server_header=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
