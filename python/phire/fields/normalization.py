"""Normalisation of fields: z-score, or AtmoDist's log1p between two z-scores."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire import files, progress
from phire.errors import InputError, WorkError
from phire.fields.source import Source, Times, indices

KINDS = ("log1p", "z", "none")
ALPHA = 0.2
BLOCK = 1 << 17
"""Values of a channel that are worked on at once: fewer would stay nearer in the cache, but then
threads spend their time on handing Python's lock to each other (a fourth of it with 2^15)."""


@dataclasses.dataclass(frozen=True)
class Normalization:
    """An invertible map from physical units to numbers of about unit size, channel by channel.

    ``z``: x ↦ (x − mean) / std. ``log1p``: the same, then x ↦ sign(x)·log(1 + alpha·\\|x\\|), then
    the same with ``log_mean`` and ``log_std`` (Hoffmann & Lessig 2023, doi:10.1017/eds.2023.1).
    ``none``: the identity.

    Attributes:
        kind: ``log1p``, ``z`` or ``none``.
        channels: Names of the channels, in the order of the last axis.
        mean, std: Moments of the physical values; kept for ``none`` too where they are known.
        log_mean, log_std: Moments after the logarithm; None unless ``log1p``.
        alpha: Steepness of the logarithm.
    """

    kind: str
    channels: tuple[str, ...]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    log_mean: tuple[float, ...] | None = None
    log_std: tuple[float, ...] | None = None
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(
                f"normalization {self.kind!r} is unknown: it must be one of {', '.join(KINDS)}."
            )
        object.__setattr__(self, "channels", tuple(self.channels))
        needed = {"log1p": ("mean", "std", "log_mean", "log_std"), "z": ("mean", "std")}
        for name in ("mean", "std", "log_mean", "log_std"):
            values = getattr(self, name)
            if values is None:
                if name in needed.get(self.kind, ()):
                    raise InputError(f"normalization {self.kind} needs {name}, which is missing.")
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

    @classmethod
    def identity(cls, channels: Sequence[str]) -> Normalization:
        """The normalisation that changes nothing."""
        return cls("none", tuple(channels))

    def apply(self, x: Any, xp: Any = np) -> Any:
        """Physical values to normalised ones.

        Args:
            x: (..., C) array, or tensor where ``xp`` is a namespace of its functions.
            xp: A namespace with ``abs``, ``sign``, ``log1p`` (NumPy, ``keras.ops``).

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
        mean, std = self._constants(x, self.mean, self.std)
        return self.bent((x - mean) / std, xp)

    def apply_planes(self, planes: np.ndarray, out: np.ndarray) -> None:
        """What :meth:`apply` does, from channels first to channels last.

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
            for c, plane in enumerate(planes):
                mean, std, log_mean, log_std = (m and dtype.type(m[c]) for m in moments)
                for first in range(0, len(plane), rows):
                    values = plane[first : first + rows]
                    target = out[first : first + rows, ..., c]
                    if self.kind == "none":
                        target[...] = values
                        continue
                    scores, rest = work[:, : len(values)]
                    np.subtract(values, mean, out=scores)
                    if self.kind == "z":
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
        x = self.linear(x, xp)
        mean, std = self._constants(x, self.mean, self.std)
        return x * std + mean

    def bent(self, x: Any, xp: Any = np) -> Any:
        """From z-scores to normalised values: the part of :meth:`apply` that is not linear."""
        if self.kind != "log1p":
            return x
        mean, std = self._constants(x, self.log_mean, self.log_std)
        return (xp.sign(x) * xp.log1p(self.alpha * xp.abs(x)) - mean) / std

    def linear(self, x: Any, xp: Any = np) -> Any:
        """From normalised values to z-scores; the inverse of :meth:`bent`."""
        if self.kind != "log1p":
            return x
        mean, std = self._constants(x, self.log_mean, self.log_std)
        x = x * std + mean
        return xp.sign(x) * xp.expm1(xp.abs(x)) / self.alpha

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
            for name in ("mean", "std", "log_mean", "log_std")
            for values in [getattr(self, name)]
        }
        return dataclasses.replace(self, channels=tuple(channels), **parts)

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


def fit_normalization(
    source: Source,
    *,
    kind: str = "log1p",
    times: Times | None = None,
    chunk: int | None = None,
) -> Normalization:
    """Fits the statistics of a normalisation to a source's fields.

    The moments are plain ones over all values that are not missing (AtmoDist's, without area
    weights), per channel and in float64. The fields are read chunk by
    chunk through dask, on the distributed client that is active (see :mod:`phire.fields.cluster`),
    else on threads; the result is the same to the last bit.

    Args:
        source: The training data.
        kind: ``log1p``, ``z`` or ``none``.
        times: The fields to use; all if not given.
        chunk: Fields read at once; by default about 64 MB of them.

    Returns:
        The normalisation; for ``none`` the mean and standard deviation are kept as facts.

    Raises:
        InputError: A channel has no value, an infinite one, or is constant.
        WorkError: Workers were lost again and again.
    """
    chosen = indices(slice(None) if times is None else times, len(source.time))
    if chunk is None:
        rows, columns = source.grid.shape
        chunk = max(1, int(64e6 / (4 * rows * columns * len(source.channels))))
    parts = [chosen[i : i + chunk] for i in range(0, len(chosen), chunk)]
    mean, std = _fit_moments(source, parts, None)
    fitted = Normalization("z" if kind == "log1p" else kind, source.channels, mean, std)
    if kind != "log1p":
        return fitted
    log_mean, log_std = _fit_moments(source, parts, fitted)
    return Normalization("log1p", source.channels, mean, std, log_mean, log_std, ALPHA)


def _fit_moments(
    source: Source, parts: list[np.ndarray], fitted: Normalization | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    merged = _each_part(source, parts, fitted)
    while len(merged) > 1:
        # A tree keeps rounding errors small; its order is of the parts, not of who was first.
        merged = [
            _merge(*merged[i : i + 2]) if i + 1 < len(merged) else merged[i]
            for i in range(0, len(merged), 2)
        ]
    count, mean, squares = merged[0]
    for c, name in enumerate(source.channels):
        if not count[c]:
            raise InputError(
                f"channel {name} holds nothing but missing values: leave it out, or choose other "
                "times."
            )
        if not np.isfinite(mean[c]):
            raise InputError(
                f"channel {name} holds infinite values: mark them as missing (NaN) first."
            )
        if squares[c] <= 0:
            raise InputError(f"channel {name} is constant: it cannot be normalised; leave it out.")
    std = np.sqrt(squares / count)
    return tuple(map(float, mean)), tuple(map(float, std))


def _each_part(
    source: Source, parts: list[np.ndarray], fitted: Normalization | None
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The moments of every part, in their order, from the active client or from threads."""
    import dask
    from dask.callbacks import Callback
    from distributed import KilledWorker, as_completed, get_client

    try:
        client = get_client()
    except ValueError:
        client = None
    moments = dask.delayed(_moments, pure=False)
    tasks = [moments(source, part, fitted) for part in parts]
    pass_name = "statistics" if fitted is None else "statistics after the logarithm"
    with progress.progress_bar(pass_name, len(tasks), "chunks") as advance:
        if client is None:
            with Callback(posttask=lambda key, *_: advance()):
                return list(dask.compute(*tasks, scheduler="threads"))
        futures = client.compute(tasks, retries=5)
        try:
            for _ in as_completed(futures):
                advance()
            return client.gather(futures)
        except KilledWorker as error:
            raise WorkError(
                f"workers were lost again and again while fitting the statistics ({error}): see "
                "their logs; memory is the usual reason."
            ) from None


def _moments(
    source: Source, times: np.ndarray, fitted: Normalization | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count, mean and sum of squared deviations per channel of some fields."""
    merged = None
    # In blocks that stay in the processor's cache, in memory that is used again and again.
    work = np.empty((2, len(source.channels), BLOCK // 2))
    for time in times:
        fields = source.read([time]).reshape(-1, len(source.channels))
        for start in range(0, len(fields), work.shape[-1]):
            block = fields[start : start + work.shape[-1]].T
            values, rest = work[..., : block.shape[1]]
            values[...] = block
            if fitted is not None:
                values -= np.array(fitted.mean)[:, None]
                values /= np.array(fitted.std)[:, None]
                with np.errstate(invalid="ignore"):  # infinite values are refused already
                    bend(values, ALPHA, rest)
            part = _block_moments(values)
            merged = part if merged is None else _merge(merged, part)
    return merged


def _block_moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The moments of values (C, n), which are overwritten."""
    missing = np.isnan(values)
    count = values.shape[1] - np.count_nonzero(missing, axis=1)
    if count.min() < values.shape[1]:
        values[missing] = 0
    mean = values.sum(1) / np.maximum(count, 1)
    with np.errstate(invalid="ignore"):  # an infinite value is named once all are summed
        values -= mean[:, None]
    if count.min() < values.shape[1]:
        values[missing] = 0
    return count, mean, np.einsum("cn,cn->c", values, values)


def _merge(a: tuple, b: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joins the moments of two disjoint samples (Chan, Golub & LeVeque 1979)."""
    (count_a, mean_a, squares_a), (count_b, mean_b, squares_b) = a, b
    count = count_a + count_b
    share = count_b / np.maximum(count, 1)
    with np.errstate(invalid="ignore"):
        difference = mean_b - mean_a
        mean = mean_a + difference * share
        squares = squares_a + squares_b + difference**2 * count_a * share
    return count, mean, squares
