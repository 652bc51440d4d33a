"""Distribution strategies: one device, several of one machine, or several machines."""

from __future__ import annotations

import functools
import json
import os

import tensorflow as tf

from phire.errors import InputError, naming_arguments

DEVICES = ("auto", "cpu", "gpu", "multiworker")


@naming_arguments()
def choose_strategy(devices: str) -> tf.distribute.Strategy:
    """Returns the distribution strategy for ``devices``; the same object on every call.

    A strategy over several machines waits for all workers, and must be created before any other
    TensorFlow operation.

    Args:
        devices: ``cpu``; ``gpu``, all GPUs of this machine; ``multiworker``, the workers named in
            TF_CONFIG; ``auto``, ``multiworker`` if TF_CONFIG names several workers, else ``gpu``
            if there is one, else ``cpu``.

    Raises:
        InputError: ``devices`` is unknown, or this machine has no such devices.
    """
    return _strategy(_resolved(devices))


@functools.cache
def _strategy(devices: str) -> tf.distribute.Strategy:
    """Creates the strategy once per process; TensorFlow cannot create a second one."""
    if devices == "multiworker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if devices == "gpu":
        gpus = visible_gpus()
        if not gpus:
            raise InputError(
                "--devices gpu: TensorFlow finds no GPU; install phire[cuda] or use cpu."
            )
        if len(gpus) > 1:
            return tf.distribute.MirroredStrategy()
        return tf.distribute.OneDeviceStrategy("/gpu:0")
    return tf.distribute.OneDeviceStrategy("/cpu:0")


def _resolved(devices: str) -> str:
    """Checks ``devices`` against TF_CONFIG, and replaces ``auto`` by the choice for this machine.

    Raises:
        InputError: ``devices`` is unknown, or is ``multiworker`` without workers in TF_CONFIG.
    """
    if devices not in DEVICES:
        raise InputError(f"--devices {devices} must be one of {', '.join(DEVICES)}.")
    several = len(_workers()) > 1
    if devices == "auto":
        return "multiworker" if several else "gpu" if visible_gpus() else "cpu"
    if devices == "multiworker" and not several:
        raise InputError(
            "--devices multiworker needs TF_CONFIG in the environment, naming the workers: "
            '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}.'
        )
    return devices


def visible_gpus() -> list:
    """Returns the GPUs of this machine."""
    return tf.config.list_physical_devices("GPU")


def _workers() -> list[tuple[str, int]]:
    """Returns the type and index of every process in TF_CONFIG, the chief first.

    Raises:
        InputError: TF_CONFIG is no JSON object with a cluster and a task.
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text:
        return []
    try:
        config = json.loads(text)
        config["task"]["type"], int(config["task"]["index"])  # fails below if incomplete
        cluster = config["cluster"]
        return [
            (kind, index)
            for kind in ("chief", "worker")
            for index in range(len(cluster.get(kind, [])))
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            "TF_CONFIG in the environment must be JSON with the keys cluster (the workers) and "
            f"task (this worker's type and index), not: {text}"
        ) from None


def is_chief(devices: str) -> bool:
    """Returns True if this process is the chief, the one that writes all outputs."""
    if _resolved(devices) != "multiworker":
        return True
    task = json.loads(os.environ["TF_CONFIG"])["task"]
    return (task["type"], int(task["index"])) == _workers()[0]


class Agreement:
    """Reductions over all processes, which make them take the same decision at the same step.

    Args:
        strategy: Strategy whose processes take part.
        chief: True in the process that writes.
    """

    def __init__(self, strategy: tf.distribute.Strategy, chief: bool) -> None:
        self.chief = chief
        self.processes = getattr(strategy.extended, "_num_workers", 1)
        self._strategy = strategy
        self._sum = tf.function(self._reduce)

    def _reduce(self, values: tf.Tensor) -> tf.Tensor:
        """Averages values over all replicas, as a graph."""

        def within(values: tf.Tensor) -> tf.Tensor:
            replicas = tf.distribute.get_replica_context()
            # all_reduce needs a tensor with a device; an argument of the graph has none.
            return replicas.all_reduce(tf.distribute.ReduceOp.MEAN, tf.identity(values))

        summed = self._strategy.run(within, args=(values,))
        return self._strategy.experimental_local_results(summed)[0]

    def mean(self, *values: float) -> list[float]:
        """Returns the mean of each value over all processes; waits for all processes."""
        if self.processes == 1:
            return list(values)
        return self._sum(tf.constant(values, tf.float32)).numpy().tolist()

    def any(self, condition: bool) -> bool:
        """Returns True if ``condition`` holds in any process; waits for all processes."""
        return self.mean(float(condition))[0] > 0

    def wait(self) -> None:
        """Barrier: waits for all processes."""
        self.mean(0.0)
