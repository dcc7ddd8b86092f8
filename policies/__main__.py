"""`pulumi … --policy-pack policies`: what the engine runs."""

import pathlib
import sys

# A language host runs this folder, not the package: names in it would shadow the standard library's.
sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)

from policies import pack  # noqa: E402

if __name__ == "__main__":
    pack.serve()
