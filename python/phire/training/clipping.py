"""Clipping of gradients, after those of all replicas are averaged."""

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
    """Sets the clipping of optimizers' gradients; without a limit it changes nothing.

    Args:
        optimizers: Each clips the gradients of its own variables.
        norm: Largest norm of all gradients of an optimizer together.
        variable_norm: Largest norm of one variable's gradient.
        value: Largest absolute value of a component.

    Raises:
        InputError: More than one is given, or one is not positive.
    """
    given = {
        name: number
        for name, number in (
            ("clip-norm", norm), ("clip-variable-norm", variable_norm), ("clip-value", value),
        )
        if number is not None
    }  # fmt: skip
    if len(given) > 1:
        raise InputError(f"{' and '.join(f'--{name}' for name in given)}: clip in one way.")
    for name, number in given.items():
        if not number > 0:
            raise InputError(f"--{name} {number} must be positive.")
    if not given:
        return
    for optimizer in optimizers:
        inner = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
        inner.global_clipnorm, inner.clipnorm, inner.clipvalue = norm, variable_norm, value
