"""Registry of network builders, and building one by name.

A builder is a function ``(shapes, **options) -> keras.Model`` in a module of this package,
decorated with :data:`network`. Its inputs are named as the arrays of a sample that it uses
(``low``, ``static``, ``auxiliary``, ``time``, ``position``; a denoiser's also ``noisy`` and
``noise_level``, a stochastic generator's ``noise``), and its output comes from a layer named
``fine`` that declares the halo: see :class:`phire.networks.blocks.output.Fine`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phire.networks.shapes import Shapes, Size
from phire.parts import Registry, Specification

if TYPE_CHECKING:
    import keras

network = Registry("network", "phire.networks")
"""All network builders by name."""


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
