"""Registry of network builders, and building one by name.

A builder is a function ``(shapes, **options) -> keras.Model`` in a module of this package,
decorated with :data:`network`. Its inputs are named as the arrays of a sample that it uses
(``low``, ``static``, ``auxiliary``, ``time``, ``position``; a denoiser's also ``noisy`` and
``noise_level``), and its output comes from a layer named ``fine`` that declares the halo: see
:class:`phire.networks.blocks.fine_output.Fine`. A stochastic generator has an input ``noise``
(B, H, W, N) of standard normal numbers, or ``seed`` (B, 2) and ``position`` for Monte Carlo
dropout: see :mod:`phire.networks.blocks.dropout`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phire.networks.shapes import Shapes, Size
from phire.parts import Registry, Specification

if TYPE_CHECKING:
    import keras

network = Registry("network", "phire.networks")
"""All network builders by name."""

encoder = Registry("encoder", "phire.networks")
"""All encoders by name: functions ``(input_shape, **options) -> keras.Model`` whose layers
``stage1`` … hold the stages' features."""

discriminator = Registry("discriminator", "phire.networks")
"""All discriminators by name: functions ``(shapes, masked, **options) -> keras.Model`` of the
inputs ``fine``, ``valid`` where masked, and of what else of the sample they use; their output is
(B, 1) logits."""


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
    **options: Any,
) -> keras.Model:
    """Builds a network from plain numbers.

    Args:
        specification: Name of the network, or ``NAME,key=value,…``.
        low, high, scale, static, auxiliary, time, window, margin, domain: See
            :class:`phire.networks.shapes.Shapes`; ``scale`` follows from the sizes where they are
            known.
        **options: Options of the network.

    Raises:
        InputError: The name or an option is unknown, or the network cannot have these shapes.
    """
    shapes = Shapes.of(
        low, high, scale=scale, static=static, auxiliary=auxiliary, time=time, window=window,
        margin=margin, domain=domain,
    )  # fmt: skip
    return network.build(specification, shapes, options=options)
