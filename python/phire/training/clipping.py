"""Gradient clipping, applied after the gradients are averaged over the replicas."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from phire.errors import InputError


def set_clipping(
    optimizers: Iterable[keras.optimizers.Optimizer],
    *,
    norm: float | None = None,
    variable_norm: float | None = None,
    value: float | None = None,
) -> None:
    """Sets how optimizers clip gradients; give one limit, or none to change nothing.

    Args:
        optimizers: Optimizers to change; each clips the gradients of its own variables.
        norm: Largest L2 norm of all gradients of an optimizer together.
        variable_norm: Largest L2 norm of the gradient of one variable.
        value: Largest absolute value of one gradient component.

    Raises:
        InputError: More than one limit is given, or a limit is not positive.
    """
    given = {
        name: number
        for name, number in (
            ("clip-norm", norm), ("clip-variable-norm", variable_norm), ("clip-value", value),
        )
        if number is not None
    }  # fmt: skip
    if len(given) > 1:
        raise InputError(f"{' and '.join(f'--{name}' for name in given)}: give only one of them.")
    for name, number in given.items():
        if not number > 0:
            raise InputError(f"--{name} {number} must be positive.")
    if not given:
        return
    for optimizer in optimizers:
        # LossScaleOptimizer (float16) leaves clipping to the optimizer it wraps.
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        inner.global_clipnorm, inner.clipnorm, inner.clipvalue = norm, variable_norm, value
