"""Normalization of fields: invertible maps to values of about unit size, for each channel.

scikit-learn's scalers take tables in memory; these maps work on fields block by block, on tensors
too, and are stored as JSON. ``tests/fields/test_normalization.py`` checks them against NumPy's
formulas, and that inverting gives the values back.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire import files
from phire.errors import InputError
from phire.fields.normalization_names import read_kind, short_kind

ALPHA = 0.2
BLOCK = 1 << 17
"""Number of values of a channel processed at once.

Smaller blocks fit better in the cache, but threads then spend more time on exchanging Python's lock
(a quarter of the time with 2^15)."""

_MOMENTS = ("mean", "std", "log_mean", "log_std", "minimum", "maximum")


@dataclasses.dataclass(frozen=True)
class Normalization:
    """Invertible map from physical values to values of about unit size, for each channel.

    Kinds:

    - ``z``: z-score, x ↦ (x − mean) / std.
    - ``log1p``: z-score, then x ↦ sign(x)·log(1 + alpha·\\|x\\|), then z-score with ``log_mean``
      and ``log_std`` (Hoffmann & Lessig 2023, doi:10.1017/eds.2023.1).
    - ``minmax``: linear map of the range from ``minimum`` to ``maximum`` to −1 … 1.
    - ``log:EPS``: x ↦ log(x + EPS), then z-score with ``log_mean`` and ``log_std``. For
      quantities that are never negative, such as rain; values below 0 count as 0.
    - ``sqrt``: x ↦ √x, then z-score with ``log_mean`` and ``log_std``; values below 0 count as 0.
    - ``none``: the identity.
    - ``CURVE+SCALING``: log1p, log:EPS or sqrt, then ``minmax`` or ``none`` in place of the last
      z-score. ``log_mean`` and ``log_std`` are then the middle and half the width of the range
      after the curve (``minmax``), or 0 and 1 (``none``).
    - ``…+scale:FACTOR``: any of the above, then multiplication by FACTOR.

    Attributes:
        kind: Kind of all channels, or the kinds of each, separated by commas.
        channels: Names of the channels, in the order of the last axis.
        mean, std: Moments of the physical values; None if unknown and not needed.
        log_mean, log_std: Centre and width after the curve, see above; 0 and 1 for channels
            without a curve.
        alpha: Steepness of ``log1p``.
        minimum, maximum: Range of the physical values for ``minmax``; 0 and 1 for other channels.
    """

    kind: str
    channels: tuple[str, ...]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    log_mean: tuple[float, ...] | None = None
    log_std: tuple[float, ...] | None = None
    alpha: float = ALPHA
    minimum: tuple[float, ...] | None = None
    maximum: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        kinds = [short_kind(kind) for kind in str(self.kind).split(",")]
        if len(kinds) not in (1, len(self.channels)):
            raise InputError(
                f"normalization has {len(kinds)} kinds for {len(self.channels)} channels."
            )
        object.__setattr__(self, "kind", kinds[0] if len(set(kinds)) == 1 else ",".join(kinds))
        needed = set().union(*(_needed(kind) for kind in kinds))
        for name in _MOMENTS:
            values = getattr(self, name)
            if values is None:
                if name in needed:
                    raise InputError(f"normalization {self.kind} needs {name}, which is missing.")
                continue
            if name not in needed and name not in ("mean", "std"):
                object.__setattr__(self, name, None)
                continue
            values = tuple(float(value) for value in values)
            object.__setattr__(self, name, values)
            if len(values) != len(self.channels):
                raise InputError(
                    f"normalization has {len(values)} values of {name} for {len(self.channels)} "
                    "channels."
                )
            if not np.isfinite(values).all() or ("std" in name and min(values) <= 0):
                raise InputError(f"normalization has an impossible {name}: {values}.")
        for c, kind in enumerate(self.kinds):
            if "minimum" in _needed(kind) and self.minimum[c] >= self.maximum[c]:
                raise InputError(
                    f"normalization has no range for {self.channels[c]}: minimum must be below "
                    "maximum."
                )

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kind of each channel."""
        kinds = tuple(self.kind.split(","))
        return kinds * len(self.channels) if len(kinds) == 1 else kinds

    @property
    def is_linear(self) -> bool:
        """True if the normalized values of all channels are linear in the physical ones."""
        return not any(read_kind(kind).curve for kind in self.kinds)

    @property
    def _vectorised(self) -> bool:
        """True if one formula applies to the whole array, because all channels have one kind."""
        return self.kind in ("z", "log1p", "none")

    @classmethod
    def identity(cls, channels: Sequence[str]) -> Normalization:
        """Returns the normalization that changes no value."""
        return cls("none", tuple(channels))

    def apply(self, x: Any, xp: Any = np) -> Any:
        """Converts physical values to normalized ones.

        Args:
            x: (..., C) NumPy array, or tensor of the library of ``xp``.
            xp: Namespace of array functions, such as NumPy or ``keras.ops``.

        Returns:
            Values of the same shape and type.

        Raises:
            ValueError: The last axis of an array has another number of channels.
        """
        if self.kind == "none":
            return x
        if xp is np:
            count = len(self.channels)
            if x.shape[-1] != count:
                raise ValueError(f"an array of shape {x.shape} does not end with {count} channels")
            result = np.empty(x.shape, _float_type(x))
            self.apply_planes(x.reshape(-1, count).T, result.reshape(-1, count))
            return result
        # Tensors: one formula over all channels where possible, which makes smaller graphs.
        if not self._vectorised:
            return self._each(x, xp, self._forward)
        mean, std = self._constants(x, self.mean, self.std)
        return self.from_linear((x - mean) / std, xp)

    def _each(self, x: Any, xp: Any, function: Any) -> Any:
        """Applies ``function(c, values, xp)`` to the values of each channel c."""
        parts = [function(c, x[..., c], xp) for c in range(len(self.channels))]
        return xp.stack(parts, axis=-1)

    def _forward(self, c: int, x: Any, xp: Any) -> Any:
        """Converts physical values of channel ``c`` to normalized ones."""
        kind = read_kind(self.kinds[c])
        if kind.curve:
            if kind.curve == "log1p":
                scores = (x - self.mean[c]) / self.std[c]
                x = xp.sign(scores) * xp.log1p(self.alpha * xp.abs(scores))
            elif kind.curve == "sqrt":
                x = xp.sqrt(xp.maximum(x, 0.0))
            else:
                x = xp.log(xp.maximum(x, 0.0) + kind.epsilon)
            x = (x - self.log_mean[c]) / self.log_std[c]
        elif kind.scaling != "none":
            centre, width = self._centre_and_width(c)
            x = (x - centre) / width
        return x if kind.factor == 1 else x * kind.factor

    def _backward(self, c: int, x: Any, xp: Any) -> Any:
        """Converts normalized values of channel ``c`` to physical ones; inverts ``_forward``."""
        kind = read_kind(self.kinds[c])
        if kind.factor != 1:
            x = x / kind.factor
        if kind.curve:
            x = x * self.log_std[c] + self.log_mean[c]
            if kind.curve == "log1p":
                x = xp.sign(x) * xp.expm1(xp.abs(x)) / self.alpha
                return x * self.std[c] + self.mean[c]
            if kind.curve == "sqrt":
                return xp.square(xp.maximum(x, 0.0))  # a network's output may be negative
            return xp.maximum(xp.exp(x) - kind.epsilon, 0.0)
        if kind.scaling == "none":
            return x
        centre, width = self._centre_and_width(c)
        return x * width + centre

    def _centre_and_width(self, c: int) -> tuple[float, float]:
        """Returns centre and width of a channel without a curve.

        For ``z`` they are mean and standard deviation, for ``minmax`` the middle and half the
        width of the range.
        """
        if read_kind(self.kinds[c]).scaling == "z":
            return self.mean[c], self.std[c]
        low, high = self.minimum[c], self.maximum[c]
        return (low + high) / 2, (high - low) / 2

    def apply_planes(self, planes: np.ndarray, out: np.ndarray) -> None:
        """Normalizes as :meth:`apply` does, from channels first to channels last.

        Each channel is processed in blocks that fit in the processor's cache, in one work array
        that all blocks reuse.

        Args:
            planes: (C, ...) physical values.
            out: (..., C) array that receives the normalized values, rounded to its type.
        """
        dtype = _float_type(planes)
        rows = min(BLOCK // max(1, math.prod(planes.shape[2:])), planes.shape[1])
        rows = max(1, rows)
        work = np.empty((2, rows, *planes.shape[2:]), dtype)
        moments = [self.mean, self.std, self.log_mean, self.log_std]
        with np.errstate(invalid="ignore"):  # callers check for infinite values
            for c, (kind, plane) in enumerate(zip(self.kinds, planes)):
                if kind not in ("z", "log1p", "none"):
                    out[..., c] = self._forward(c, plane, np)
                    continue
                mean, std, log_mean, log_std = (m and dtype.type(m[c]) for m in moments)
                for first in range(0, len(plane), rows):
                    values = plane[first : first + rows]
                    target = out[first : first + rows, ..., c]
                    if kind == "none":
                        target[...] = values
                        continue
                    scores, rest = work[:, : len(values)]
                    np.subtract(values, mean, out=scores)
                    if kind == "z":
                        np.divide(scores, std, out=target, casting="same_kind")
                        continue
                    scores /= std
                    bend(scores, self.alpha, rest)
                    scores -= log_mean
                    np.divide(scores, log_std, out=target, casting="same_kind")

    def invert(self, x: Any, xp: Any = np) -> Any:
        """Converts normalized values to physical ones; the inverse of :meth:`apply`.

        Args:
            x, xp: See :meth:`apply`.
        """
        if self.kind == "none":
            return x
        if not self._vectorised:
            return self._each(x, xp, self._backward)
        x = self.to_linear(x, xp)
        mean, std = self._constants(x, self.mean, self.std)
        return x * std + mean

    def from_linear(self, x: Any, xp: Any = np) -> Any:
        """Converts linearly scaled values to normalized ones.

        Linearly scaled values are z-scores for channels with a curve. For other channels they are
        the normalized values themselves, and are returned unchanged.

        Args:
            x, xp: See :meth:`apply`.
        """
        if not self._vectorised:
            return self._each(x, xp, self._from_linear)
        if self.kind != "log1p":
            return x
        mean, std = self._constants(x, self.log_mean, self.log_std)
        return (xp.sign(x) * xp.log1p(self.alpha * xp.abs(x)) - mean) / std

    def to_linear(self, x: Any, xp: Any = np) -> Any:
        """Converts normalized values to linearly scaled ones; the inverse of :meth:`from_linear`.

        Args:
            x, xp: See :meth:`apply`.
        """
        if not self._vectorised:
            return self._each(x, xp, self._to_linear)
        if self.kind != "log1p":
            return x
        mean, std = self._constants(x, self.log_mean, self.log_std)
        x = x * std + mean
        return xp.sign(x) * xp.expm1(xp.abs(x)) / self.alpha

    def _from_linear(self, c: int, x: Any, xp: Any) -> Any:
        if not read_kind(self.kinds[c]).curve:
            return x
        return self._forward(c, x * self.std[c] + self.mean[c], xp)

    def _to_linear(self, c: int, x: Any, xp: Any) -> Any:
        if not read_kind(self.kinds[c]).curve:
            return x
        return (self._backward(c, x, xp) - self.mean[c]) / self.std[c]

    def _constants(self, x: Any, *values: tuple[float, ...]) -> list[Any]:
        # NumPy would compute in float64; tensor libraries convert the constants themselves.
        if isinstance(x, np.ndarray):
            return [np.asarray(v, dtype=_float_type(x)) for v in values]
        return [np.asarray(v, dtype="float32") for v in values]

    def select(self, channels: Sequence[str]) -> Normalization:
        """Returns the normalization of some of the channels, in the given order.

        Raises:
            InputError: A channel is not part of this normalization.
        """
        missing = [name for name in channels if name not in self.channels]
        if missing:
            raise InputError(
                f"the statistics have no channel {', '.join(missing)}: their channels are "
                f"{', '.join(self.channels)}."
            )
        places = [self.channels.index(name) for name in channels]
        parts = {
            name: None if values is None else tuple(values[p] for p in places)
            for name in _MOMENTS
            for values in [getattr(self, name)]
        }
        kind = ",".join(self.kinds[place] for place in places)
        return dataclasses.replace(self, kind=kind, channels=tuple(channels), **parts)

    def with_kinds(self, kinds: Sequence[str]) -> Normalization:
        """Returns a normalization with the same statistics and other kinds.

        ``none`` and ``z`` are always possible. A kind with a curve or a range needs statistics
        that were fitted for it, so it may differ from the present kind only by a factor.

        Args:
            kinds: New kind of each channel.

        Raises:
            InputError: A new kind needs other statistics.
        """
        for name, old, new in zip(self.channels, self.kinds, kinds):
            steps = read_kind(new)
            plain = not steps.curve and steps.scaling != "minmax"
            if not plain and steps.steps != read_kind(old).steps:
                raise InputError(
                    f"the statistics of {name} are those of the normalization {old}, not of {new}: "
                    f"leave out --normalization to use {old}, or --statistics to fit {new}."
                )
        return dataclasses.replace(self, kind=",".join(kinds))

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes as a dictionary that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Normalization:
        """Returns the normalization that :meth:`to_dict` stored in a dictionary.

        Raises:
            InputError: A key is missing or unknown.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(value) - names)
        if unknown or not {"kind", "channels"} <= set(value):
            raise InputError(
                "this is not a normalization: it must have kind, channels, mean, std, log_mean, "
                f"log_std and alpha, but has {', '.join(value) or 'none of them'}."
            )
        return cls(**value)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the normalization to a JSON file."""
        files.write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike) -> Normalization:
        """Reads a normalization from a JSON file; the inverse of :meth:`save`.

        Raises:
            InputError: The file does not exist or has other content.
        """
        try:
            value = json.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{path} does not exist: name a file of statistics.") from None
        except (OSError, ValueError):
            raise InputError(f"{path} is not a file of statistics (JSON).") from None
        try:
            return cls.from_dict(value)
        except (InputError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: {error}") from None


def joined(parts: Sequence[Normalization]) -> Normalization:
    """Returns one normalization for the channels of several, one after another."""
    if len(parts) == 1:
        return parts[0]
    blank = dict(zip(_MOMENTS, (0.0, 1.0) * 3))
    moments = {}
    for name in _MOMENTS:
        values = [getattr(part, name) for part in parts]
        if values.count(None) == len(values):
            continue
        moments[name] = [
            value
            for part, found in zip(parts, values)
            for value in ([blank[name]] * len(part.channels) if found is None else found)
        ]
    kind = ",".join(kind for part in parts for kind in part.kinds)
    return Normalization(kind, tuple(c for part in parts for c in part.channels), **moments)


def _needed(kind: str) -> tuple[str, ...]:
    """Returns the names of the statistics that a kind needs."""
    steps = read_kind(kind)
    if steps.curve:
        return ("mean", "std", "log_mean", "log_std")
    return {"none": (), "minmax": ("minimum", "maximum"), "z": ("mean", "std")}[steps.scaling]


def bend(x: np.ndarray, alpha: float, work: np.ndarray) -> None:
    """Computes x ↦ sign(x)·log(1 + alpha·\\|x\\|) in place.

    NumPy vectorises ``log`` but not ``log1p``, so log(1 + y) takes a sixth of the time. Its
    absolute error is the rounding of 1, which near 0 is larger than the error of ``log1p``.

    Args:
        x: Floating-point values, which are overwritten.
        alpha: The steepness.
        work: Array of the same shape and type, which is overwritten.
    """
    np.abs(x, out=work)
    work *= alpha
    work += 1
    np.log(work, out=work)
    # NumPy does not vectorise copysign either, so the sign bits are copied.
    bits = np.dtype(f"u{x.itemsize}")
    signs, sizes = x.view(bits), work.view(bits)
    signs &= np.array(1 << 8 * x.itemsize - 1, bits)
    signs |= sizes


def _float_type(values: np.ndarray) -> np.dtype:
    return values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
