"""Process that takes steps of training when it is asked to, and says how long they took.

It reads lines ``WORK STEPS`` and answers each with a line of JSON: seconds of the wall and of the
processor, a step, and the largest memory of the process so far. Needs nothing but Python.
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
    """Answers until the input ends.

    Args:
        prepare: Returns the works by name, each called with a number of steps, and what is told of
            the network first.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    works, told = prepare()
    for work in works.values():
        work(2)  # traces, and warms up
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
