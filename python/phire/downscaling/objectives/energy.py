"""Energy: a generator with noise inputs, trained by fair scores of a few members a sample."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from phire.downscaling.contents.pointwise import mse
from phire.downscaling.contents.weighted_sum import open_metric
from phire.downscaling.contents.weighting import mean as weighted_mean
from phire.downscaling.energy_score import (
    absolute,
    fair_energy_score,
    first_differences,
    patch_distance,
    pooled,
)
from phire.downscaling.generator_task import Task
from phire.downscaling.objectives.supervised import Supervised
from phire.downscaling.spectrum_score import log_spectral_error
from phire.errors import InputError, OptionError
from phire.training import minimise, scaled
from phire.training.objective import Batch
from phire.training.registry import objective

RANDOM_INPUTS = ("noise", "seed")


@objective("energy")
def energy_objective(
    task: Task,
    *,
    members: int = 2,
    crps: float = 1.0,
    differences: float = 1.0,
    pools: Sequence[int] = (1, 2, 4, 8),
    patches: float = 0.0,
    patch: int = 8,
    learned: float = 1.0,
    metric: str | None = None,
    layers: Sequence[str] | None = None,
    beta: float = 1.0,
    ema: float = 0.999,
) -> EnergyTraining:
    """Trains a stochastic generator by the fair energy score of some members a sample.

    Args:
        task: Network, with an option such as noise=8, and records.
        members: Members generated for each sample, 2 at least.
        crps: Weight of the CRPS of values, the mean over ``pools``.
        differences: Weight of the CRPS of first differences, likewise.
        pools: Sides of the blocks whose means are scored; 1 for the points themselves.
        patches: Weight of the energy score of patches as vectors.
        patch: Side of these patches in points.
        learned: Weight of the energy score in the metric's features; 0 without ``metric``.
        metric: Directory of a learned metric.
        layers: Layers of the metric to compare; by default its own.
        beta: Power of the norms of patches and features, between 0 and 2.
        ema: Decay of the moving average of the weights where --ema is not given.

    Raises:
        InputError: The network has no random input, an option is impossible, or the metric does
            not fit the records.
    """
    weights = {"crps": crps, "differences": differences, "patches": patches, "learned": learned}
    pools = [pools] if isinstance(pools, int) else list(pools)
    _check(task, members, weights, pools, patch, beta, metric)
    distance = None
    if metric is not None and learned:
        layers = [layers] if isinstance(layers, str) else layers
        distance = _learned_distance(task, metric, layers, beta)
    generator = task.build_network()
    if not {*RANDOM_INPUTS} & {*generator.input}:
        raise InputError(
            f"objective energy needs a network with random inputs, which {task.network} with these "
            "options has not: give it noise channels, such as "
            f"--network {task.network},noise=8."
        )
    return EnergyTraining(
        generator,
        members=members,
        weights=weights,
        pools=pools,
        patch=patch_distance(patch, beta),
        patch_size=patch,
        learned=distance,
        scale=task.shapes.scale,
        margin=task.shapes.margin,
    )


def _check(
    task: Task, members: int, weights: dict[str, float], pools: Sequence[int], patch: int,
    beta: float, metric: str | None,
) -> None:  # fmt: skip
    """Raises an InputError for what is impossible."""
    if members < 2:
        raise OptionError(f"members={members} must be 2 or more: one has no spread to score.")
    if not 0 < beta < 2:
        raise OptionError(f"beta={beta:g} must lie between 0 and 2, or the score is not proper.")
    used = [name for name, weight in weights.items() if weight]
    if min(weights.values()) < 0 or used in ([], ["learned"] if metric is None else []):
        listed = ", ".join(f"{name}={weight:g}" for name, weight in weights.items())
        raise OptionError(f"{listed}: weights must not be negative, and one of them be positive.")
    smallest = min(task.shapes.high[:2])
    sizes = [*pools, patch] if weights["patches"] else [*pools]
    if not pools or min(sizes) < 1 or 2 * max(sizes) > smallest:
        raise OptionError(
            f"pools={list(pools)} and patch={patch} must be sides of blocks from 1 to half of the "
            f"{smallest} points of the records' patches."
        )


def _learned_distance(task: Task, metric: str, layers: Sequence[str] | None, beta: float) -> Any:
    """Returns the distance in a metric's features to the power beta, (B,)."""
    from phire.rplearn import ContentLoss

    opened = open_metric(metric, task.channels, task.units)
    loss = ContentLoss(opened, normalization=task.normalization, layers=layers)

    def distance(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        return (loss.call(a, b) + 1e-12) ** (beta / 2)

    return distance


class EnergyTraining(Supervised):
    """Trains a stochastic generator by weighted fair energy scores.

    Args:
        generator: Network with random inputs.
        members: Members of a sample, in training and validation.
        weights: Weights of ``crps``, ``differences``, ``patches`` and ``learned``.
        pools: Sides of blocks for the first two.
        patch: Distance of patches.
        patch_size: Their side.
        learned: Distance (B,) of fields in features; None without.
        scale, margin: Fine points to a coarse one, and coarse points around the patch.
    """

    def __init__(
        self,
        generator: keras.Model,
        *,
        members: int,
        weights: dict[str, float],
        pools: Sequence[int],
        patch: Any,
        patch_size: int,
        learned: Any,
        scale: int,
        margin: int,
    ) -> None:
        spectrum = functools.partial(log_spectral_error, scale=scale)
        super().__init__(
            generator, mse, validation_scores={"log_spectral_error": spectrum}, margin=margin
        )
        self.members, self.weights, self.pools = members, weights, list(pools)
        self.patch, self.patch_size, self.learned = patch, patch_size, learned

    def generate_members(self, batch: Batch, training: bool) -> list[tf.Tensor]:
        """Returns the members (B, H, W, C), 0 where invalid, of one pass of the network."""
        count = self.members
        repeated = {name: tf.repeat(value, count, axis=0) for name, value in batch.items()}
        fields = self.generate(repeated, training)
        fields = tf.reshape(fields, (-1, count, *fields.shape[1:]))
        return tf.unstack(fields, num=count, axis=1)

    def score(
        self, truth: tf.Tensor, members: list[tf.Tensor], valid: tf.Tensor | None
    ) -> dict[str, tf.Tensor]:
        """Returns each score of positive weight, and their weighted sum as ``loss``."""
        found = {}
        valid = None if valid is None else tf.cast(valid, truth.dtype)
        if self.weights["crps"]:
            found["crps"] = self._over_pools(lambda *pair: [pair], truth, members, valid)
        if self.weights["differences"]:
            found["differences"] = self._over_pools(first_differences, truth, members, valid)
        if self.weights["patches"]:
            whole = None
            if valid is not None:
                whole = tf.cast(pooled(valid, None, self.patch_size)[0] > 0, truth.dtype)
            found["patches"] = weighted_mean(fair_energy_score(self.patch, truth, members), whole)
        if self.weights["learned"] and self.learned is not None:
            found["learned"] = tf.reduce_mean(fair_energy_score(self.learned, truth, members))
        loss = tf.add_n([self.weights[name] * value for name, value in found.items()])
        return {"loss": loss, **found}

    def _over_pools(
        self, values: Any, truth: tf.Tensor, members: list[tf.Tensor], valid: tf.Tensor | None
    ) -> tf.Tensor:
        """Mean over block sizes of the CRPS of what ``values(fields, valid)`` makes of them."""
        scores = []
        for size in self.pools:
            true_values = values(*pooled(truth, valid, size))
            of_members = [values(*pooled(x, valid, size)) for x in members]
            for i, (true_value, mask) in enumerate(true_values):
                crps = fair_energy_score(absolute, true_value, [x[i][0] for x in of_members])
                scores.append(weighted_mean(crps, mask))
        return tf.add_n(scores) / len(scores)

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Updates the generator by one batch."""
        optimizer = self.optimizers["generator"]
        with tf.GradientTape() as tape:
            members = self.generate_members(batch, training=True)
            scores = self.score(self.truth(batch), members, batch.get("valid"))
            target = scaled(optimizer, scores["loss"])
        minimise(tape, target, optimizer, self.generator.trainable_variables)
        return scores

    def validation_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Scores of a held-out batch, spread and error, and the spectrum of the first member."""
        high, valid = self.truth(batch), batch.get("valid")
        members = self.generate_members(batch, training=False)
        mean = tf.add_n(members) / len(members)
        variance = tf.add_n([tf.square(x - mean) for x in members]) / (len(members) - 1)
        return {
            **self.score(high, members, valid),
            "mse_of_mean": mse(high, mean, valid),
            "variance": weighted_mean(
                variance, None if valid is None else tf.cast(valid, high.dtype)
            ),
            **self.scores(high, members[0]),
        }
