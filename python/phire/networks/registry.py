"""Registry of network builders.

A builder is a function ``(shapes, **options) -> keras.Model`` in a module of this package,
decorated with :data:`network`. The inputs of the model have the names of the sample's arrays that
it reads: ``low``, ``static``, ``auxiliary``, ``time``, ``position``. Its output comes from a layer
named ``fine``, which declares the halo; see :class:`phire.networks.blocks.fine_output.Fine`.

A denoiser also has the inputs ``noisy`` (B, H, W, C) and ``noise_level`` (B,). A stochastic
generator has the input ``noise`` (B, H, W, N) of standard normal numbers, or ``seed`` (B, 2) and
``position`` for Monte Carlo dropout; see :mod:`phire.networks.blocks.dropout`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phire.networks.shapes import Shapes, Size
from phire.part_registry import Registry, Specification

if TYPE_CHECKING:
    import keras

network = Registry("network", "phire.networks")
"""Network builders by name."""

encoder = Registry("encoder", "phire.networks")
"""Encoders by name: functions ``(input_shape, **options) -> keras.Model``, whose layers ``stage1``
… output the features of the stages."""

discriminator = Registry("discriminator", "phire.networks")
"""Discriminators by name: functions ``(shapes, masked, **options) -> keras.Model``. The inputs of
the model are ``fine``, ``valid`` if masked, and further arrays of a sample; its outputs are logits
(B, 1)."""


def build(
    specification: Specification,
    low: tuple[Size, Size, int],
    high: tuple[Size, Size, int],
    *,
    scale: int | None = None,
    static: int = 0,
    auxiliary: int = 0,
    time: int = 0,
    window: int | None = None,
    margin: int = 0,
    domain: tuple[int, int] | None = None,
    context_size: tuple[int, int] | None = None,
    **options: Any,
) -> keras.Model:
    """Builds a network by name, for given shapes.

    Args:
        specification: Name of the network, or ``NAME,key=value,…``.
        low, high, scale, static, auxiliary, time, window, margin, domain, context_size: See
            :class:`phire.networks.shapes.Shapes`. ``scale`` is computed from the sizes if they are
            known.
        **options: Options of the network.

    Raises:
        InputError: The name or an option is unknown, or the network does not support these shapes.
    """
    shapes = Shapes.of(
        low, high, scale=scale, static=static, auxiliary=auxiliary, time=time, window=window,
        margin=margin, domain=domain, context_size=context_size,
    )  # fmt: skip
    return network.build(specification, shapes, options=options)
