"""Distribution strategies: one device, several of one machine, or several machines."""

from __future__ import annotations

import functools
import json
import os

import keras
import tensorflow as tf

from phire.errors import InputError, naming_arguments
from phire.training.determinism import enable_determinism

DEVICES = ("auto", "cpu", "gpu", "multiworker")
PRECISIONS = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


@naming_arguments()
def choose_strategy(devices: str) -> tf.distribute.Strategy:
    """Returns the distribution strategy of ``devices``, one and the same throughout the process.

    ``auto``: several machines where TF_CONFIG names them, else all GPUs, else the CPU. ``gpu``: all
    GPUs of this machine. With several machines it waits for the others, and it must be called
    before any other operation of TensorFlow.

    Raises:
        InputError: The devices asked for are not there.
    """
    return _strategy(_resolved(devices))


@functools.cache
def _strategy(devices: str) -> tf.distribute.Strategy:
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
    """Type and index of all processes that TF_CONFIG names, the chief first."""
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text:
        return []
    try:
        facts = json.loads(text)
        facts["task"]["type"], int(facts["task"]["index"])
        cluster = facts["cluster"]
        return [
            (kind, index)
            for kind in ("chief", "worker")
            for index in range(len(cluster.get(kind, [])))
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"TF_CONFIG in the environment names no cluster of workers and task of this one: {text}"
        ) from None


def is_chief(devices: str) -> bool:
    """Returns True if this process writes the outputs."""
    if _resolved(devices) != "multiworker":
        return True
    task = json.loads(os.environ["TF_CONFIG"])["task"]
    return (task["type"], int(task["index"])) == _workers()[0]


class Agreement:
    """Reductions over all processes, so that they take the same decisions at the same step."""

    def __init__(self, strategy: tf.distribute.Strategy, chief: bool) -> None:
        self.chief = chief
        self.processes = getattr(strategy.extended, "_num_workers", 1)
        self._strategy = strategy
        self._sum = tf.function(self._reduce)

    def _reduce(self, values: tf.Tensor) -> tf.Tensor:
        def within(values: tf.Tensor) -> tf.Tensor:
            replicas = tf.distribute.get_replica_context()
            # A copy, for an argument has no device yet.
            return replicas.all_reduce(tf.distribute.ReduceOp.MEAN, tf.identity(values))

        summed = self._strategy.run(within, args=(values,))
        return self._strategy.experimental_local_results(summed)[0]

    def mean(self, *values: float) -> list[float]:
        """Returns the means over all processes; waits for them."""
        if self.processes == 1:
            return list(values)
        return self._sum(tf.constant(values, tf.float32)).numpy().tolist()

    def any(self, condition: bool) -> bool:
        """Returns True if it holds on any process; waits for all."""
        return self.mean(float(condition))[0] > 0

    def wait(self) -> None:
        """Barrier: waits for all processes."""
        self.mean(0.0)


def set_precision(precision: str) -> None:
    """Sets the dtype policy of networks that are built after this call.

    Raises:
        InputError: It is unknown.
    """
    if precision not in PRECISIONS:
        raise InputError(f"--precision {precision} must be one of {', '.join(PRECISIONS)}.")
    keras.config.set_dtype_policy(PRECISIONS[precision])


def prepare_process(precision: str, seed: int, deterministic: bool) -> None:
    """Seeds all randomness, sets the precision and, if asked, deterministic kernels."""
    keras.utils.set_random_seed(seed)
    set_precision(precision)
    if deterministic:
        enable_determinism()


def for_float16(
    optimizer: keras.optimizers.Optimizer, precision: str | None = None
) -> keras.optimizers.Optimizer:
    """Wraps an optimizer to scale the loss where networks compute in float16.

    Args:
        optimizer: Any optimizer.
        precision: The precision; by default that of the networks built now.
    """
    policy = PRECISIONS.get(precision, keras.config.dtype_policy().name)
    if policy != "mixed_float16":
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)
