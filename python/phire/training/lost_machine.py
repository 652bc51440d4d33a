"""Loss of another machine during a training on several machines.

Workers of dask, which prepare data and evaluate, are in :mod:`phire.fields.cluster`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from phire.errors import WorkError


@contextlib.contextmanager
def naming_lost_machine() -> Iterator[None]:
    """Translates TensorFlow's errors for a lost worker into a WorkError.

    Raises:
        WorkError: A collective operation failed within the block.
    """
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        # The reason is the first line after TensorFlow's trace of the graph.
        reason = str(error).strip().split("\n\n")[-1].partition("\n")[0]
        raise WorkError(
            f"another worker was lost ({reason.rstrip(':')}): run the same command on all workers "
            "again; training resumes from the last checkpoint."
        ) from None
