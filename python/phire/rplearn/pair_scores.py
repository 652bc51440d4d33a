"""Evaluation of pairs by time lag: pixel measures, network scores and feature distances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from phire import progress
from phire.fields.normalization import Normalization
from phire.records import naming_damage
from phire.rplearn.calibration import lag_scores
from phire.rplearn.lag_statistics import LagStatistics, add_scales, pixel_measures

HISTOGRAM_BINS = 200


@dataclass(frozen=True)
class Pairs:
    """Pairs of patches in batches, in the normalization that the network was trained with.

    Attributes:
        records: Open pair records; see :func:`phire.records.open_records`.
        normalization: Normalization of the training data.
        classes: Largest lag; pairs with larger lags are left out.
        batch_size: Number of pairs in a batch.
        batches: Number of batches to read, from the first one; None for all.
    """

    records: Any
    normalization: Normalization
    classes: int
    batch_size: int
    batches: int | None

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yields (first, second, label) batches in the order on disk."""
        dataset = self.records.dataset(
            self.batch_size, drop_remainder=False, classes=self.classes, limit=self.batches
        )
        present = self.records.manifest.schema.normalization
        with naming_damage(self.records):
            for batch in dataset.as_numpy_iterator():
                patches = [batch["first"], batch["second"]]
                if present != self.normalization:
                    patches = [
                        self.normalization.apply(present.invert(p.astype(np.float64))).astype("f4")
                        for p in patches
                    ]
                yield *patches, batch["label"]

    def __len__(self) -> int:
        """Returns the number of batches."""
        count = -(-self.records.count_classes(self.classes) // self.batch_size)
        return count if self.batches is None else min(count, self.batches)


def z_scored(normalised: np.ndarray, normalization: Normalization) -> np.ndarray:
    """Turns normalised fields into z-scores, (physical − mean) / standard deviation."""
    if normalization.kind != "log1p":
        return normalised
    physical = normalization.invert(normalised.astype(np.float64))
    return (physical - np.array(normalization.mean)) / np.array(normalization.std)


def evaluate_pixels(pairs: Pairs) -> xr.Dataset:
    """Computes pixel measures by lag, and the histogram of the data.

    Returns:
        For normalised patches: ``mean`` and ``std`` (measure, lag) of l1, l2, 50 − PSNR and
        (1 − SSIM)/2; ``spearman``, ``upper_rise``, ``scale`` and ``scale_without_log1p``
        (measure); ``count`` (lag). Also ``l2_without_log1p`` (lag), the squared difference of
        z-scored patches; ``lowest`` and ``highest`` (channel), the range used for PSNR and SSIM;
        and ``density`` (space, channel, value) of z-scored and of normalised values.
    """
    channels = len(pairs.normalization.channels)
    lowest, highest = np.full(channels, np.inf), np.full(channels, -np.inf)
    for first, second, _ in progress.tracked(pairs, "range of the data", len(pairs), "batches"):
        for patch in (first, second):
            lowest = np.minimum(lowest, patch.min(axis=(0, 1, 2)))
            highest = np.maximum(highest, patch.max(axis=(0, 1, 2)))
    statistics = LagStatistics(pairs.classes)
    plain = LagStatistics(pairs.classes)
    edges = np.linspace(-8, 8, HISTOGRAM_BINS + 1)
    counts = np.zeros((2, channels, HISTOGRAM_BINS))
    values = 0
    for first, second, label in progress.tracked(pairs, "pixel measures", len(pairs), "batches"):
        statistics.update(label, pixel_measures(first, second, lowest, highest))
        plain_first, plain_second = (z_scored(x, pairs.normalization) for x in (first, second))
        plain.update(label, {"l2": ((plain_first - plain_second) ** 2).mean(axis=(1, 2, 3))})
        values += first[..., 0].size
        for c in range(channels):
            for k, patch in enumerate((plain_first, first)):
                counts[k, c] += np.histogram(patch[..., c], edges)[0]
    result = statistics.result()
    result["l2_without_log1p"] = ("lag", plain.result()["mean"].to_numpy()[0])
    result["lowest"], result["highest"] = ("channel", lowest), ("channel", highest)
    result["density"] = (
        ("space", "channel", "value"),
        counts / max(values, 1) / (edges[1] - edges[0]),
    )
    result = result.assign_coords(
        channel=list(pairs.normalization.channels),
        space=["z-scored", "normalised"],
        value=(edges[1:] + edges[:-1]) / 2,
    )
    return add_scales(result, result)


def evaluate_network(network: Any, pairs: Pairs, pixels: xr.Dataset) -> xr.Dataset:
    """Computes the scores of one network, and its feature distances by lag.

    Args:
        network: Keras network of any pretext task, with an encoder.
        pairs: Held-out pairs.
        pixels: Result of :func:`evaluate_pixels` for the same pairs.

    Returns:
        Over ``layer``: ``feature_distance_mean`` and ``feature_distance_std`` (layer, lag), not
        scaled; ``learned_mean`` and ``learned_std`` (layer, lag), scaled; ``spearman``,
        ``upper_rise``, ``scale`` and ``scale_without_log1p``. For networks that predict lags also
        all of :func:`~phire.rplearn.calibration.lag_scores`.
    """
    from phire.rplearn.pair_model import PairModel

    model = PairModel(network)
    statistics = LagStatistics(pairs.classes)
    logits, labels = [], []
    for first, second, label in pairs:
        predicted, distances = model(first, second)
        statistics.update(label, distances)
        labels.append(label)
        if predicted is not None:
            logits.append(predicted)
    result = add_scales(statistics.result("layer"), pixels)
    for name in ("mean", "std"):
        result[f"learned_{name}"] = result[name] * result["scale"]
    result = result.rename({"mean": "feature_distance_mean", "std": "feature_distance_std"})
    if logits:
        result = result.merge(lag_scores(np.concatenate(logits), np.concatenate(labels)))
    return result
