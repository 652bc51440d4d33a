"""Precision of networks: dtype policies, and loss scaling for float16."""

from __future__ import annotations

import keras

from phire.errors import InputError

PRECISIONS = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


def set_precision(precision: str) -> None:
    """Sets the dtype policy of networks that are built after this call.

    Args:
        precision: ``float32``, ``bfloat16`` or ``float16``; the last two compute in 16 bits and
            keep float32 weights.

    Raises:
        InputError: ``precision`` is unknown.
    """
    if precision not in PRECISIONS:
        raise InputError(f"--precision {precision} must be one of {', '.join(PRECISIONS)}.")
    keras.config.set_dtype_policy(PRECISIONS[precision])


def for_float16(
    optimizer: keras.optimizers.Optimizer, precision: str | None = None
) -> keras.optimizers.Optimizer:
    """Wraps an optimizer in dynamic loss scaling if the networks compute in float16.

    Args:
        optimizer: Any optimizer; returned unchanged for other precisions.
        precision: Precision of the networks; None for the current dtype policy.
    """
    policy = PRECISIONS.get(precision, keras.config.dtype_policy().name)
    if policy != "mixed_float16":
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)
