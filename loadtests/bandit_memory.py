"""How much memory open decisions take: `python -m loadtests.bandit_memory DECISIONS LIMIT`.

Prints a line of JSON for each million decisions, each of them rewarded: seconds, MB, rows.
`LIMIT` is how many are remembered.
"""

import json
import resource
import sys
import time

import numpy as np

from runtimes.bandit.controller.joining import Decisions, Join, Limits, Rewards

_BATCH = 5000
_EPOCH = 100_000
_MILLION = 1_000_000


def main(decisions: int, limit: int) -> None:
    """Feed so many decisions and rewards, an epoch for every 100,000."""
    draw = np.random.default_rng(1)
    join = Join(4, Limits(10**9, limit))
    began = time.perf_counter()
    for start in range(0, decisions, _BATCH):
        ids = [f"{start + n:032x}" for n in range(_BATCH)]
        times = np.full(_BATCH, start, dtype=np.int64)
        join.decide(Decisions(ids, times, draw.integers(0, 4, _BATCH).astype(np.uint8)))
        values, offsets = draw.normal(size=_BATCH), np.arange(start, start + _BATCH)
        join.reward(Rewards(ids, times, values, offsets))
        sent = start + _BATCH
        if sent % _EPOCH == 0:
            join.learnt()
            join.compact()
        if sent % _MILLION == 0:
            line = {
                "decisions": sent,
                "seconds": time.perf_counter() - began,
                "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "remembered": len(join.open),
                "learnt": join.reward_counts["learnt"],
            }
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
