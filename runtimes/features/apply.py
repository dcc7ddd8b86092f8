"""Bring a feature registry to an artifact's definitions: for a pod that reads it from its own disk.

`python -m runtimes.features.apply --artifact FOLDER --registry FILE --valkey HOST:PORT`
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from runtimes.features import artifact, repository


def main(arguments: Sequence[str]) -> int:
    """Apply; give the exit status."""
    parser = argparse.ArgumentParser(prog="runtimes.features.apply", description=__doc__)
    parser.add_argument("--artifact", type=pathlib.Path, required=True, help="the enrichment's")
    parser.add_argument("--registry", type=pathlib.Path, required=True, help="the file to write")
    parser.add_argument("--valkey", required=True, help="host:port of the online store")
    given = parser.parse_args(arguments)
    declared = artifact.declared(given.artifact)
    given.registry.parent.mkdir(parents=True, exist_ok=True)
    repository.apply(declared, given.artifact, given.registry, given.valkey)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
