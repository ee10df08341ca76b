"""The canonical question by squigglepy, in an environment of its own (see `evaluators_bench`).

``python squiggle_run.py SIZE ROUNDS`` prints one JSON line a round: CPU seconds, quantile, tail.
"""

import json
import math
import sys
import time

import numpy as np
import squigglepy as sq

POSTS = ((6500.0, 325.0), (7250.0, 290.0))
LIKES = ((23.0, 0.08), (28.0, 0.06))


def main(size: int, rounds: int) -> None:
    """Answer the question so many times."""
    posts = sq.mixture([sq.norm(mean=m, sd=s) for m, s in POSTS], [0.5, 0.5])
    likes = sq.mixture([sq.lognorm(norm_mean=math.log(m), norm_sd=s) for m, s in LIKES], [0.5, 0.5])
    for _ in range(rounds):
        begin = time.process_time()
        total = sq.sample(posts, size) * sq.sample(likes, size)
        found = float(np.quantile(total, 0.95)), float((total > 200_000).mean())
        print(json.dumps([time.process_time() - begin, *found]))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
