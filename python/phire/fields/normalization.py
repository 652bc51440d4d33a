"""Normalization of fields: invertible maps to numbers of about unit size, channel by channel."""

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
from phire.fields.normalization_kinds import read_kind, short_kind

ALPHA = 0.2
BLOCK = 1 << 17
"""Values of a channel that are worked on at once: fewer would stay nearer in the cache, but then
threads spend their time on handing Python's lock to each other (a fourth of it with 2^15)."""

_MOMENTS = ("mean", "std", "log_mean", "log_std", "minimum", "maximum")


@dataclasses.dataclass(frozen=True)
class Normalization:
    """An invertible map from physical units to numbers of about unit size, channel by channel.

    - ``z``: x ↦ (x − mean) / std.
    - ``log1p``: the same, then x ↦ sign(x)·log(1 + alpha·\\|x\\|), then the same with ``log_mean``
      and ``log_std`` (Hoffmann & Lessig 2023, doi:10.1017/eds.2023.1).
    - ``minmax``: the range ``minimum`` … ``maximum`` to −1 … 1.
    - ``log:EPS``: x ↦ log(x + EPS), then the z-score with ``log_mean`` and ``log_std``; for what
      is never negative, such as rain. Values below 0 count as 0.
    - ``sqrt``: x ↦ √x, then likewise.
    - ``none``: the identity.
    - ``CURVE+SCALING``: log1p, log:EPS or sqrt followed by ``minmax`` or ``none`` (of the values
      after the curve) instead of the z-score; ``log_mean`` and ``log_std`` are then the middle and
      half the width of their range, or 0 and 1.
    - ``…+scale:FACTOR``: any of these, then times FACTOR.

    Attributes:
        kind: The kind of all channels, or those of each, separated by commas.
        channels: Names of the channels, in the order of the last axis.
        mean, std: Moments of the physical values; kept for other kinds too where they are known.
        log_mean, log_std: Moments after the logarithm or the root (0 and 1 of channels without),
            or what stands for them in a chain.
        alpha: Steepness of ``log1p``.
        minimum, maximum: Range of the physical values, for ``minmax`` (0 and 1 of other channels).
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
                raise InputError(f"normalization has no range for {self.channels[c]}.")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each channel."""
        kinds = tuple(self.kind.split(","))
        return kinds * len(self.channels) if len(kinds) == 1 else kinds

    @property
    def is_linear(self) -> bool:
        """Tells whether the normalised values are linear in the physical ones."""
        return not any(read_kind(kind).curve for kind in self.kinds)

    @property
    def _vectorised(self) -> bool:
        """All channels are of one kind whose formula runs over all of them at once."""
        return self.kind in ("z", "log1p", "none")

    @classmethod
    def identity(cls, channels: Sequence[str]) -> Normalization:
        """The normalisation that changes nothing."""
        return cls("none", tuple(channels))

    def apply(self, x: Any, xp: Any = np) -> Any:
        """Physical values to normalised ones.

        Args:
            x: (..., C) array, or tensor where ``xp`` is a namespace of its functions.
            xp: A namespace of its functions, such as NumPy or ``keras.ops``.

        Returns:
            Values of the same shape and type.

        Raises:
            ValueError: The last axis of an array does not hold these channels.
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
        if not self._vectorised:
            return self._each(x, xp, self._forward)
        mean, std = self._constants(x, self.mean, self.std)
        return self.bent((x - mean) / std, xp)

    def _each(self, x: Any, xp: Any, function: Any) -> Any:
        """``function`` of every channel, which is given its number, values and namespace."""
        parts = [function(c, x[..., c], xp) for c in range(len(self.channels))]
        return xp.stack(parts, axis=-1)

    def _forward(self, c: int, x: Any, xp: Any) -> Any:
        """Normalised values of one channel."""
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
        """Physical values of one channel; the inverse of :meth:`_forward`."""
        kind = read_kind(self.kinds[c])
        if kind.factor != 1:
            x = x / kind.factor
        if kind.curve:
            x = x * self.log_std[c] + self.log_mean[c]
            if kind.curve == "log1p":
                x = xp.sign(x) * xp.expm1(xp.abs(x)) / self.alpha
                return x * self.std[c] + self.mean[c]
            if kind.curve == "sqrt":
                return xp.square(xp.maximum(x, 0.0))
            return xp.maximum(xp.exp(x) - kind.epsilon, 0.0)
        if kind.scaling == "none":
            return x
        centre, width = self._centre_and_width(c)
        return x * width + centre

    def _centre_and_width(self, c: int) -> tuple[float, float]:
        """Returns mean and standard deviation of a channel, or its range's middle and half."""
        if read_kind(self.kinds[c]).scaling == "z":
            return self.mean[c], self.std[c]
        low, high = self.minimum[c], self.maximum[c]
        return (low + high) / 2, (high - low) / 2

    def apply_planes(self, planes: np.ndarray, out: np.ndarray) -> None:
        """Normalises as :meth:`apply` does, from channels first to channels last.

        Channel by channel, some values at a time, in memory that is used again and again: what is
        between stays in the processor's cache, and the system need not hand out fresh pages.

        Args:
            planes: (C, ...) physical values.
            out: (..., C) where the normalised ones go, rounded to its type.
        """
        dtype = _float_type(planes)
        rows = min(BLOCK // max(1, math.prod(planes.shape[2:])), planes.shape[1])
        rows = max(1, rows)
        work = np.empty((2, rows, *planes.shape[2:]), dtype)
        moments = [self.mean, self.std, self.log_mean, self.log_std]
        with np.errstate(invalid="ignore"):  # infinite values are for the caller to find
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
        """Normalised values to physical ones; the inverse of :meth:`apply`."""
        if self.kind == "none":
            return x
        if not self._vectorised:
            return self._each(x, xp, self._backward)
        x = self.linear(x, xp)
        mean, std = self._constants(x, self.mean, self.std)
        return x * std + mean

    def bent(self, x: Any, xp: Any = np) -> Any:
        """Transforms values that are linear in the physical ones to normalised ones.

        Of channels with a logarithm or a root these are z-scores; of all others they are the
        normalised values themselves.
        """
        if not self._vectorised:
            return self._each(x, xp, self._bent)
        if self.kind != "log1p":
            return x
        mean, std = self._constants(x, self.log_mean, self.log_std)
        return (xp.sign(x) * xp.log1p(self.alpha * xp.abs(x)) - mean) / std

    def linear(self, x: Any, xp: Any = np) -> Any:
        """Inverts :meth:`bent`: from normalised values to values linear in the physical ones."""
        if not self._vectorised:
            return self._each(x, xp, self._linear)
        if self.kind != "log1p":
            return x
        mean, std = self._constants(x, self.log_mean, self.log_std)
        x = x * std + mean
        return xp.sign(x) * xp.expm1(xp.abs(x)) / self.alpha

    def _bent(self, c: int, x: Any, xp: Any) -> Any:
        if not read_kind(self.kinds[c]).curve:
            return x
        return self._forward(c, x * self.std[c] + self.mean[c], xp)

    def _linear(self, c: int, x: Any, xp: Any) -> Any:
        if not read_kind(self.kinds[c]).curve:
            return x
        return (self._backward(c, x, xp) - self.mean[c]) / self.std[c]

    def _constants(self, x: Any, *values: tuple[float, ...]) -> list[Any]:
        # In the precision of NumPy arrays; tensors convert the constants themselves.
        if isinstance(x, np.ndarray):
            return [np.asarray(v, dtype=_float_type(x)) for v in values]
        return [np.asarray(v, dtype="float32") for v in values]

    def select(self, channels: Sequence[str]) -> Normalization:
        """The normalisation of some of the channels, in the order given.

        Raises:
            InputError: A channel is not among these.
        """
        missing = [name for name in channels if name not in self.channels]
        if missing:
            raise InputError(
                f"the statistics hold no channel {', '.join(missing)}: they are of "
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
        """The same statistics under other kinds.

        Raises:
            InputError: The statistics lack what a kind needs; they hold what a logarithm or root
                needs for the very kind they were fitted for alone.
        """
        for name, old, new in zip(self.channels, self.kinds, kinds):
            steps = read_kind(new)
            plain = not steps.curve and steps.scaling != "minmax"
            if not plain and steps.steps != read_kind(old).steps:
                raise InputError(
                    f"the statistics hold the normalization {old} of {name}, which cannot become "
                    f"{new}: leave out --normalization to take that, or --statistics to fit "
                    "another."
                )
        return dataclasses.replace(self, kind=",".join(kinds))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Normalization:
        """The inverse of :meth:`to_dict`.

        Raises:
            InputError: Something is missing or unknown.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(value) - names)
        if unknown or not {"kind", "channels"} <= set(value):
            raise InputError(
                "this is no normalization: it must hold kind, channels, mean, std, log_mean, "
                f"log_std and alpha, and holds {', '.join(value) or 'nothing'}."
            )
        return cls(**value)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the JSON form to a file."""
        files.write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike) -> Normalization:
        """Reads what :meth:`save` wrote.

        Raises:
            InputError: The file is missing or holds something else.
        """
        try:
            value = json.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{path} does not exist: name a file of statistics.") from None
        except (OSError, ValueError):
            raise InputError(f"{path} is no file of statistics (JSON).") from None
        try:
            return cls.from_dict(value)
        except (InputError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: {error}") from None


def joined(parts: Sequence[Normalization]) -> Normalization:
    """The normalization of several groups of channels, one after another."""
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
    """Moments without which a kind cannot be applied or made linear."""
    steps = read_kind(kind)
    if steps.curve:
        return ("mean", "std", "log_mean", "log_std")
    return {"none": (), "minmax": ("minimum", "maximum"), "z": ("mean", "std")}[steps.scaling]


def bend(x: np.ndarray, alpha: float, work: np.ndarray) -> None:
    """x ↦ sign(x)·log(1 + alpha·\\|x\\|), in place; right to the rounding of 1.

    NumPy's log1p, right to the rounding of its result, takes one value after another, its log many
    at a time, at a sixth of the time.

    Args:
        x: Floating-point values.
        alpha: The steepness.
        work: An array like ``x``, to be overwritten.
    """
    np.abs(x, out=work)
    work *= alpha
    work += 1
    np.log(work, out=work)
    # NumPy's copysign takes one value after another too: the signs are taken as bits.
    bits = np.dtype(f"u{x.itemsize}")
    signs, sizes = x.view(bits), work.view(bits)
    signs &= np.array(1 << 8 * x.itemsize - 1, bits)
    signs |= sizes


def _float_type(values: np.ndarray) -> np.dtype:
    return values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
