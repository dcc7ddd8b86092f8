"""LightGBM, imported without the libraries that it can serve but does not need.

`import lightgbm` imports scikit-learn and dask where they are installed, for estimators of theirs:
1.4 s of CPU, and 0.13 s without. Only its `Booster` is used here.
"""

import importlib
import sys

_OPTIONAL = ("sklearn", "dask")


def import_lean() -> None:
    """Import LightGBM; to be called before other threads import anything.

    For the rest of the process, its scikit-learn and dask estimators say that they are not there.
    """
    hidden = [name for name in _OPTIONAL if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # it cannot be imported meanwhile
    try:
        importlib.import_module("lightgbm")
    finally:
        for name in hidden:
            del sys.modules[name]
