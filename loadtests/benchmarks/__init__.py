"""Benchmarks side by side: one module each, listed here by name.

A new one is a module with `NAME`, `ABOUT` and `run(Context) -> Result`, and a line below.
"""

from loadtests.benchmarks import (
    bandit,
    bandit_history,
    bandit_loop,
    features,
    ope,
    pipeline,
    route,
    up,
    weights,
)
from loadtests.benchmarks.benchmark import Benchmark

BENCHMARKS = {
    module.NAME: Benchmark(module.NAME, module.ABOUT, module.run)
    for module in (route, weights, pipeline, features, bandit, bandit_history, bandit_loop, ope, up)
}
"""Every benchmark, in the order in which they run."""
