"""Where training runs: one device, several of one machine, or several machines."""

from __future__ import annotations

import json
import os

import keras
import tensorflow as tf

from phire.errors import InputError

DEVICES = ("auto", "cpu", "gpu", "multiworker")
PRECISIONS = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


def choose_strategy(devices: str) -> tf.distribute.Strategy:
    """The strategy for ``--devices``.

    ``auto``: several machines where TF_CONFIG names them, else all GPUs, else the CPU. ``gpu``: all
    GPUs of this machine.

    Raises:
        InputError: The devices asked for are not there.
    """
    if devices not in DEVICES:
        raise InputError(f"--devices {devices} must be one of {', '.join(DEVICES)}.")
    several = len(_workers()) > 1
    if devices == "auto":
        devices = "multiworker" if several else "gpu" if _gpus() else "cpu"
    if devices == "multiworker":
        if not several:
            raise InputError(
                "--devices multiworker needs TF_CONFIG in the environment, naming the workers: "
                '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}.'
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    if devices == "gpu":
        gpus = _gpus()
        if not gpus:
            raise InputError(
                "--devices gpu: TensorFlow finds no GPU; install phire[cuda] or use cpu."
            )
        if len(gpus) > 1:
            return tf.distribute.MirroredStrategy()
        return tf.distribute.OneDeviceStrategy("/gpu:0")
    return tf.distribute.OneDeviceStrategy("/cpu:0")


def _gpus() -> list:
    return tf.config.list_physical_devices("GPU")


def _workers() -> list[str]:
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text:
        return []
    try:
        return list(json.loads(text)["cluster"]["worker"])
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"TF_CONFIG in the environment names no cluster of workers: {text}"
        ) from None


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the outputs."""
    resolver = strategy.cluster_resolver
    return resolver is None or not resolver.task_type or resolver.task_id in (None, 0)


def set_precision(precision: str) -> None:
    """Sets the type that networks built from now on compute in.

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
        tf.config.experimental.enable_op_determinism()


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
