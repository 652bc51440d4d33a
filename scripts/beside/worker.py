"""Server loop of a process that takes training steps on request and reports their time.

It reads lines ``WORK STEPS`` and answers each with a line of JSON: wall seconds and CPU seconds per
step, and the peak memory of the process so far. It uses only the standard library.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any


def serve(prepare: Callable[[], tuple[Mapping[str, Callable[[int], Any]], dict]]) -> None:
    """Answers requests until the input ends.

    Args:
        prepare: Returns functions by name, each called with a number of steps, and the description
            of the network, which is sent first.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # output of libraries must not mix with the answers
    works, told = prepare()
    for work in works.values():
        work(2)  # traces the graph and warms up
    print(json.dumps(told), file=answers)
    for line in sys.stdin:
        name, steps = line.split()
        wall, used = time.perf_counter(), time.process_time()
        works[name](int(steps))
        found = {
            "wall": (time.perf_counter() - wall) / int(steps),
            "cpu": (time.process_time() - used) / int(steps),
            "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps(found), file=answers)
