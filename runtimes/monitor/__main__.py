"""Run the monitor: `python -m runtimes.monitor CONFIG.json`, see `settings.Settings`."""

import http.server
import logging
import pathlib
import signal
import sys
import threading
from collections.abc import Sequence

from runtimes.contract import configuration

from . import ledger, pages, settings, truth, watching


def main(arguments: Sequence[str]) -> int:
    """Watch until asked to end; give the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m runtimes.monitor CONFIG.json\n")
        return 2
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("bellwether").setLevel(logging.INFO)
    try:
        given = settings.read(pathlib.Path(arguments[0]))
        closes = truth.Closes.of(given.bars)
    except (configuration.ConfigurationError, truth.BarsError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    monitor = watching.Monitor(given, ledger.Ledger(given.folder, closes, given.window_days))
    handler = type("Pages", (pages.Pages,), {"monitor": monitor})
    server = http.server.ThreadingHTTPServer((given.host, given.port), handler)
    threading.Thread(target=server.serve_forever, daemon=True, name="pages").start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: monitor.stop())
    try:
        monitor.run()
    finally:
        server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
