"""Runs independent pieces of work side by side, each in a process with one thread.

One thread apiece: on busy machines, threads that wait for each other within one fit cost
many times what they bring, and sums would depend on their number.
"""

import concurrent.futures
import ctypes
import multiprocessing
import multiprocessing.queues
import os
import signal
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn, TypeVar

Key = TypeVar("Key")
Result = TypeVar("Result")

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

PR_SET_PDEATHSIG = 1
"""From Linux's `prctl.h`: the signal that a process gets when its parent dies."""

MOST = 8
"""Processes at most: each holds its own copy of the data and of torch."""


Advance = Callable[[], None]
"""Called in the parent each time that a job calls `advance`."""

_steps: "multiprocessing.queues.SimpleQueue[bool] | None" = None


def run(
    jobs: Mapping[Key, Callable[[], Result]], on_advance: Advance | None = None
) -> Iterator[tuple[Key, Result]]:
    """Run `jobs` (picklable, without arguments) and give each one's result as it is ready.

    The first error ends all others and is raised; so does an interruption.
    """
    if not jobs:
        return
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, "1"))
    # A forked process would inherit locks of libraries that have threads.
    context = multiprocessing.get_context("spawn")
    steps: multiprocessing.queues.SimpleQueue[bool] = context.SimpleQueue()
    listener = threading.Thread(target=_listen, args=(steps, on_advance), daemon=True)
    listener.start()
    with concurrent.futures.ProcessPoolExecutor(
        max_workers=min(_processors(), len(jobs), MOST),
        mp_context=context,
        initializer=_prepare,
        initargs=(steps,),
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
        finally:
            steps.put(False)
    listener.join()


def advance() -> None:
    """Tell the parent that a part of the job is done; alone in a process, tell nobody."""
    if _steps is not None:
        _steps.put(True)


def interrupt_when_terminated() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that it takes its children along."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: types.FrameType | None) -> NoReturn:
    del number, frame
    raise KeyboardInterrupt


def _listen(steps: "multiprocessing.queues.SimpleQueue[bool]", on_advance: Advance | None) -> None:
    while steps.get():
        if on_advance is not None:
            on_advance()


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def _prepare(steps: "multiprocessing.queues.SimpleQueue[bool]") -> None:
    global _steps  # noqa: PLW0603  # a process's only channel to its parent
    _steps = steps
    # Ctrl-C reaches all processes of a terminal; the parent ends its children itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A parent that is killed cannot end its children: the kernel does.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
