"""Fitting a normalization: moments of a source's fields, chunk by chunk on threads or a cluster."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from phire import progress
from phire.errors import InputError
from phire.fields.cluster import naming_lost_workers
from phire.fields.normalization import ALPHA, BLOCK, Normalization, bend
from phire.fields.normalization_kinds import read_kind
from phire.fields.source import Source, Times, indices

Moments = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Count, mean, sum of squared deviations, minimum and maximum of rows of values."""


def fit_normalization(
    source: Source,
    *,
    kind: str | Sequence[str] = "log1p",
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
        kind: A kind of :class:`Normalization` for all channels, or one for each.
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
    kinds = (kind,) * len(source.channels) if isinstance(kind, str) else tuple(kind)
    steps = [read_kind(one) for one in kinds]
    curves = [c for c, step in enumerate(steps) if step.curve in ("log", "sqrt")]
    names = [source.channels[c] for c in (*range(len(kinds)), *curves)]
    found = _fit_moments(source, parts, Rows(kinds), names)
    values = {"mean": found.mean[: len(kinds)], "std": found.std[: len(kinds)]}
    after = {c: found.scaling(len(kinds) + i, steps[c].scaling) for i, c in enumerate(curves)}
    if any(step.scaling == "minmax" and not step.curve for step in steps):
        values |= {"minimum": found.low[: len(kinds)], "maximum": found.high[: len(kinds)]}
    bent = [c for c, step in enumerate(steps) if step.curve == "log1p"]
    if bent:
        rows = Rows(kinds, values["mean"], values["std"])
        second = _fit_moments(source, parts, rows, [source.channels[c] for c in bent])
        after |= {c: second.scaling(i, steps[c].scaling) for i, c in enumerate(bent)}
    if after:
        pairs = [after.get(c, (0.0, 1.0)) for c in range(len(kinds))]
        values |= {"log_mean": [p[0] for p in pairs], "log_std": [p[1] for p in pairs]}
    return Normalization(",".join(kinds), source.channels, **values)


@dataclasses.dataclass(frozen=True)
class RowStatistics:
    """Mean, standard deviation, minimum and maximum of each row of values."""

    mean: list[float]
    std: list[float]
    low: list[float]
    high: list[float]

    def scaling(self, row: int, name: str) -> tuple[float, float]:
        """Returns what a scaling subtracts from a row, and what it divides it by then."""
        if name == "none":
            return 0.0, 1.0
        if name == "minmax":
            low, high = self.low[row], self.high[row]
            return (low + high) / 2, (high - low) / 2
        return self.mean[row], self.std[row]


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of values whose moments one pass over the fields takes.

    Attributes:
        kinds: Kind of each channel.
        mean, std: In the second pass, moments of the physical values: it is over the channels of
            ``log1p``, after their logarithm. The first is over all channels as they are, followed
            by the logarithms and roots of those that have them.
    """

    kinds: tuple[str, ...]
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    @property
    def count(self) -> int:
        """Number of rows, and of channels, whichever is more."""
        curves = [kind for kind in self.kinds if read_kind(kind).curve in ("log", "sqrt")]
        return len(self.kinds) + len(curves)

    @property
    def has_range(self) -> bool:
        """Tells whether a kind needs minima and maxima."""
        return any(read_kind(kind).scaling == "minmax" for kind in self.kinds)

    def values(self, block: np.ndarray, work: np.ndarray) -> np.ndarray:
        """(rows, n) float64 of a block (C, n), in memory that is overwritten.

        Args:
            block: Physical values.
            work: (2, at least as many rows, n) float64.
        """
        if self.mean is not None:
            bent = [c for c, kind in enumerate(self.kinds) if read_kind(kind).curve == "log1p"]
            values, rest = work[:, : len(bent)]
            values[...] = block[bent] if len(bent) < len(block) else block
            values -= np.array([self.mean[c] for c in bent])[:, None]
            values /= np.array([self.std[c] for c in bent])[:, None]
            with np.errstate(invalid="ignore"):  # infinite values are refused already
                bend(values, ALPHA, rest)
            return values
        count = len(block)
        work[0, :count] = block
        for c, kind in enumerate(map(read_kind, self.kinds)):
            if kind.curve == "sqrt":
                work[0, count] = np.sqrt(np.maximum(block[c], 0, dtype=np.float64))
            elif kind.curve == "log":
                work[0, count] = np.log(np.maximum(block[c], 0, dtype=np.float64) + kind.epsilon)
            else:
                continue
            count += 1
        return work[0, :count]


def _fit_moments(
    source: Source, parts: list[np.ndarray], rows: Rows, names: list[str]
) -> RowStatistics:
    """Returns the statistics of rows of values, which have these names."""
    merged = _each_part(source, parts, rows)
    while len(merged) > 1:
        # A tree keeps rounding errors small; its order is of the parts, not of who was first.
        merged = [
            _merge(*merged[i : i + 2]) if i + 1 < len(merged) else merged[i]
            for i in range(0, len(merged), 2)
        ]
    count, mean, squares, low, high = merged[0]
    for c, name in enumerate(names):
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
    return RowStatistics(mean.tolist(), std.tolist(), low.tolist(), high.tolist())


def _each_part(source: Source, parts: list[np.ndarray], rows: Rows) -> list[Moments]:
    """The moments of every part, in their order, from the active client or from threads."""
    import dask
    from dask.callbacks import Callback
    from distributed import as_completed, get_client

    try:
        client = get_client()
    except ValueError:
        client = None
    moments = dask.delayed(_moments, pure=False)
    tasks = [moments(source, part, rows) for part in parts]
    pass_name = "statistics" if rows.mean is None else "statistics after the logarithm"
    with progress.progress_bar(pass_name, len(tasks), "chunks") as advance:
        if client is None:
            with Callback(posttask=lambda key, *_: advance()):
                return list(dask.compute(*tasks, scheduler="threads"))
        futures = client.compute(tasks, retries=5)
        with naming_lost_workers("fitting the statistics"):
            for _ in as_completed(futures):
                advance()
            return client.gather(futures)


def _moments(source: Source, times: np.ndarray, rows: Rows) -> Moments:
    """The moments of some fields."""
    merged = None
    # In blocks that stay in the processor's cache, in memory that is used again and again.
    work = np.empty((2, rows.count, BLOCK // 2))
    for time in times:
        fields = source.read([time]).reshape(-1, len(source.channels))
        for start in range(0, len(fields), work.shape[-1]):
            block = fields[start : start + work.shape[-1]].T
            values = rows.values(block, work[..., : block.shape[1]])
            part = _block_moments(values, *_extremes(values, rows))
            merged = part if merged is None else _merge(merged, part)
    return merged


def _extremes(values: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Minima and maxima of rows of values (rows, n), where a kind needs them."""
    if not rows.has_range:
        nothing = np.zeros(len(values))
        return nothing, nothing
    return np.fmin.reduce(values, axis=1), np.fmax.reduce(values, axis=1)


def _block_moments(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> Moments:
    """The moments of values (rows, n), which are overwritten."""
    missing = np.isnan(values)
    count = values.shape[1] - np.count_nonzero(missing, axis=1)
    if count.min() < values.shape[1]:
        values[missing] = 0
    mean = values.sum(1) / np.maximum(count, 1)
    with np.errstate(invalid="ignore"):  # an infinite value is named once all are summed
        values -= mean[:, None]
    if count.min() < values.shape[1]:
        values[missing] = 0
    return count, mean, np.einsum("cn,cn->c", values, values), low, high


def _merge(a: Moments, b: Moments) -> Moments:
    """Joins the moments of two disjoint samples (Chan, Golub & LeVeque 1979)."""
    (count_a, mean_a, squares_a, *range_a), (count_b, mean_b, squares_b, *range_b) = a, b
    count = count_a + count_b
    share = count_b / np.maximum(count, 1)
    with np.errstate(invalid="ignore"):
        difference = mean_b - mean_a
        mean = mean_a + difference * share
        squares = squares_a + squares_b + difference**2 * count_a * share
    low, high = np.fmin(range_a[0], range_b[0]), np.fmax(range_a[1], range_b[1])
    return count, mean, squares, low, high
