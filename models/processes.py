"""Runs independent pieces of work side by side, each in a process with one thread.

One thread apiece: on busy machines, threads that wait for each other within one fit cost
many times what they bring, and sums would depend on their number.
"""

import concurrent.futures
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

Key = TypeVar("Key")
Result = TypeVar("Result")

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

MOST = 8
"""Processes at most: each holds its own copy of the data and of torch."""


def run(jobs: Mapping[Key, Callable[[], Result]]) -> Iterator[tuple[Key, Result]]:
    """Run `jobs` (picklable, without arguments) and give each one's result as it is ready.

    The first error ends all others and is raised; so does an interruption.
    """
    if not jobs:
        return
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, "1"))
    with concurrent.futures.ProcessPoolExecutor(
        max_workers=min(_processors(), len(jobs), MOST),
        # A forked process would inherit locks of libraries that have threads.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_ignore_interrupts,
    ) as pool:
        running = {pool.submit(job): key for key, job in jobs.items()}
        try:
            for future in concurrent.futures.as_completed(running):
                yield running[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def _ignore_interrupts() -> None:
    # Ctrl-C reaches all processes of a terminal; the parent ends its children itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
