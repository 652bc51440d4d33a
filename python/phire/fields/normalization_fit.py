"""Fit of a normalization: moments of a source's fields, in chunks on threads or a cluster.

NumPy and dask have means and deviations of whole arrays; the moments are computed here because one
pass gives all of them, skips missing values, and merges chunks in a fixed order, so that the result
does not depend on the number of workers. Checked against NumPy's moments of the whole array.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from phire import progress
from phire.errors import InputError
from phire.fields.cluster import naming_lost_workers
from phire.fields.normalization import ALPHA, BLOCK, Normalization, bend
from phire.fields.normalization_names import read_kind
from phire.fields.source import Source, Times, indices

Moments = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Count, mean, sum of squared deviations from it, minimum and maximum, (rows,) each."""


def fit_normalization(
    source: Source,
    *,
    kind: str | Sequence[str] = "log1p",
    times: Times | None = None,
    chunk: int | None = None,
) -> Normalization:
    """Fits the statistics of a normalization to a source's fields.

    Moments are computed for each channel in float64, over all valid values and without area
    weights, as in AtmoDist. Chunks of fields are read through dask, on the active distributed
    client (see :mod:`phire.fields.cluster`) or else on threads; the result is identical.

    Args:
        source: The training data.
        kind: A kind of :class:`Normalization` for all channels, or one for each.
        times: Indices of the fields to use; by default all.
        chunk: Number of fields read at once; by default about 64 MB of them.

    Returns:
        The normalization. For ``none`` it contains mean and standard deviation for information.

    Raises:
        InputError: A channel has no valid value or an infinite one, or is constant.
        WorkError: A task lost its worker repeatedly.
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
    # Centre and width of each channel after its curve.
    after = {c: found.scaling(len(kinds) + i, steps[c].scaling) for i, c in enumerate(curves)}
    if any(step.scaling == "minmax" and not step.curve for step in steps):
        values |= {"minimum": found.low[: len(kinds)], "maximum": found.high[: len(kinds)]}
    curved = [c for c, step in enumerate(steps) if step.curve == "log1p"]
    if curved:
        # log1p acts on z-scores, so its moments need a second pass.
        rows = Rows(kinds, values["mean"], values["std"])
        second = _fit_moments(source, parts, rows, [source.channels[c] for c in curved])
        after |= {c: second.scaling(i, steps[c].scaling) for i, c in enumerate(curved)}
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
        """Returns the centre and the width of a scaling: (values − centre) / width.

        Args:
            row: Index of the row.
            name: ``z``, ``minmax`` or ``none``.
        """
        if name == "none":
            return 0.0, 1.0
        if name == "minmax":
            low, high = self.low[row], self.high[row]
            return (low + high) / 2, (high - low) / 2
        return self.mean[row], self.std[row]


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of values whose moments are computed in one pass over the fields.

    The first pass has a row for the physical values of each channel, then a row for each channel
    with a curve ``log`` or ``sqrt``, after that curve. The second pass has a row for each channel
    with the curve ``log1p``, after that curve.

    Attributes:
        kinds: Kind of each channel.
        mean, std: Moments of the physical values, in the second pass only.
    """

    kinds: tuple[str, ...]
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    @property
    def count(self) -> int:
        """Number of rows of the first pass, which is enough for the second, too."""
        curves = [kind for kind in self.kinds if read_kind(kind).curve in ("log", "sqrt")]
        return len(self.kinds) + len(curves)

    @property
    def has_range(self) -> bool:
        """True if the kind of a channel needs minima and maxima."""
        return any(read_kind(kind).scaling == "minmax" for kind in self.kinds)

    def values(self, block: np.ndarray, work: np.ndarray) -> np.ndarray:
        """Computes the rows of a block of values.

        Args:
            block: (C, n) physical values.
            work: (2, at least the number of rows, n) float64, which is overwritten.

        Returns:
            (rows, n) float64, a view of ``work``.
        """
        if self.mean is not None:
            curved = [c for c, kind in enumerate(self.kinds) if read_kind(kind).curve == "log1p"]
            values, rest = work[:, : len(curved)]
            values[...] = block[curved] if len(curved) < len(block) else block
            values -= np.array([self.mean[c] for c in curved])[:, None]
            values /= np.array([self.std[c] for c in curved])[:, None]
            with np.errstate(invalid="ignore"):  # the first pass has refused infinite values
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
    """Computes the statistics of rows of values.

    Args:
        source: The training data.
        parts: Indices of the fields of each chunk.
        rows: The rows.
        names: Name of the channel of each row, for messages.

    Raises:
        InputError: A row has no valid value or an infinite one, or is constant.
    """
    merged = _each_part(source, parts, rows)
    while len(merged) > 1:
        # Pairwise merging keeps rounding errors small, and its order depends on the chunks only,
        # not on which worker finished first.
        merged = [
            _merge(*merged[i : i + 2]) if i + 1 < len(merged) else merged[i]
            for i in range(0, len(merged), 2)
        ]
    count, mean, squares, low, high = merged[0]
    for c, name in enumerate(names):
        if not count[c]:
            raise InputError(
                f"channel {name} has no valid value: leave it out, or choose other times."
            )
        if not np.isfinite(mean[c]):
            raise InputError(
                f"channel {name} has infinite values: mark them as missing (NaN) first."
            )
        if squares[c] <= 0:
            raise InputError(f"channel {name} is constant and cannot be normalised: leave it out.")
    std = np.sqrt(squares / count)
    return RowStatistics(mean.tolist(), std.tolist(), low.tolist(), high.tolist())


def _each_part(source: Source, parts: list[np.ndarray], rows: Rows) -> list[Moments]:
    """Computes the moments of each chunk, in order, on the active client or on threads."""
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
    """Computes the moments of a chunk of fields."""
    merged = None
    # Blocks that fit in the processor's cache, in one array that all of them reuse.
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
    """Returns minima and maxima of rows of values (rows, n), or zeros if no kind needs them."""
    if not rows.has_range:
        nothing = np.zeros(len(values))
        return nothing, nothing
    return np.fmin.reduce(values, axis=1), np.fmax.reduce(values, axis=1)


def _block_moments(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> Moments:
    """Computes the moments of rows of values.

    Args:
        values: (rows, n), which are overwritten.
        low, high: (rows,) minima and maxima.
    """
    missing = np.isnan(values)
    count = values.shape[1] - np.count_nonzero(missing, axis=1)
    if count.min() < values.shape[1]:
        values[missing] = 0
    mean = values.sum(1) / np.maximum(count, 1)
    with np.errstate(invalid="ignore"):  # infinite values are reported after the last chunk
        values -= mean[:, None]
    if count.min() < values.shape[1]:
        values[missing] = 0
    return count, mean, np.einsum("cn,cn->c", values, values), low, high


def _merge(a: Moments, b: Moments) -> Moments:
    """Merges the moments of two disjoint samples (Chan, Golub & LeVeque 1979)."""
    (count_a, mean_a, squares_a, *range_a), (count_b, mean_b, squares_b, *range_b) = a, b
    count = count_a + count_b
    share = count_b / np.maximum(count, 1)
    with np.errstate(invalid="ignore"):
        difference = mean_b - mean_a
        mean = mean_a + difference * share
        squares = squares_a + squares_b + difference**2 * count_a * share
    low, high = np.fmin(range_a[0], range_b[0]), np.fmax(range_a[1], range_b[1])
    return count, mean, squares, low, high
