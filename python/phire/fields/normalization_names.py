"""Parsing of the kinds of normalization, such as ``z`` or ``sqrt+minmax+scale:2``.

A kind is a curve, then a scaling, then a factor, each optional.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Sequence

from phire.errors import InputError
from phire.fields.channel_values import values_by_channel

SCALINGS = ("z", "minmax", "none")
LOGARITHM = "log:"
FACTOR = "scale:"
KINDS = ("log1p", "z", "minmax", "sqrt", "none")
"""Kinds of one word; further ones are ``log:EPS`` and chains."""
FORMS = (
    "log1p, z, minmax, log:EPS, sqrt or none, or a chain CURVE+SCALING+scale:FACTOR of "
    "log1p, log:EPS or sqrt, then z, minmax or none, then a factor"
)


@dataclasses.dataclass(frozen=True)
class Kind:
    """Steps of the normalization of one channel, in the order in which they are applied.

    Attributes:
        curve: ``log1p``, ``log``, ``sqrt``, or empty for no curve.
        scaling: ``z``, ``minmax`` or ``none``.
        factor: Factor applied after the scaling.
        epsilon: Number added before the logarithm of the curve ``log``.
    """

    curve: str
    scaling: str
    factor: float = 1.0
    epsilon: float = 0.0

    @property
    def steps(self) -> tuple[str, str, float]:
        """Steps that determine the statistics: kinds that differ only by a factor share them."""
        return self.curve, self.scaling, self.epsilon


@functools.lru_cache(maxsize=256)
def read_kind(text: str) -> Kind:
    """Parses the name of a kind; a curve without a scaling is followed by ``z``.

    Raises:
        InputError: The name is unknown; the message lists the kinds.
    """
    first, *rest = _chain(text)
    try:
        curve, epsilon, scaling = first, 0.0, "z"
        if first.startswith(LOGARITHM):
            curve, epsilon = "log", _positive(first.removeprefix(LOGARITHM))
        elif first in SCALINGS:
            curve, scaling = "", first
        elif first not in ("log1p", "sqrt"):
            raise ValueError
        if curve and rest and rest[0] in SCALINGS:
            scaling = rest.pop(0)
        factor = 1.0
        if rest and rest[0].startswith(FACTOR):
            factor = _positive(rest.pop(0).removeprefix(FACTOR))
        if rest:
            raise ValueError
    except ValueError:
        raise InputError(
            f"normalization {text!r} is unknown: it must be {FORMS}, with EPS and FACTOR above 0."
        ) from None
    return Kind(curve, scaling, factor, epsilon)


def _chain(text: str) -> list[str]:
    """Splits a chain at its plus signs, except one within a number, as in ``log:1e+2``."""
    return re.split(r"\+(?=[a-z])", text)


def _positive(text: str) -> float:
    """Returns a finite number above 0; raises ValueError for any other text."""
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


def short_kind(text: str) -> str:
    """Returns the shortest name of a kind: ``sqrt`` of ``sqrt+z``.

    Raises:
        InputError: The name is unknown.
    """
    read_kind(text)
    first, *rest = _chain(text)
    return "+".join([first, *(rest[1:] if rest[:1] == ["z"] else rest)])


def parse_kinds(text: str, channels: Sequence[str]) -> tuple[str, ...]:
    """Parses a text such as ``z,pr=log:0.1`` into the kind of each channel.

    Args:
        text: A kind for all channels (``log1p`` if left out), then ``NAME=KIND`` for single ones.
        channels: Names of the channels.

    Raises:
        InputError: A kind or a channel is unknown.
    """
    for part in str(text).split(","):
        read_kind(part.rpartition("=")[2].strip())  # an unknown kind is reported before a name
    kinds = values_by_channel("--normalization", text, channels, "log1p", "KIND")
    return tuple(short_kind(kind) for kind in kinds.values())
