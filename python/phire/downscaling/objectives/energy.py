"""Energy objective: trains a stochastic generator by fair energy scores of small ensembles."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from phire.downscaling.contents.pointwise import mse
from phire.downscaling.contents.weighting import mean as weighted_mean
from phire.downscaling.energy_score import (
    absolute,
    fair_energy_score,
    first_differences,
    learned_kernel,
    patch_distance,
    pooled,
)
from phire.downscaling.generator_task import Task
from phire.downscaling.objectives.supervised import Supervised
from phire.downscaling.spectrum_score import batch_spectral_error
from phire.errors import InputError, OptionError
from phire.training import minimise, scaled
from phire.training.objective import Batch
from phire.training.registry import objective

RANDOM_INPUTS = ("noise", "seed")
"""Inputs that make a network stochastic."""


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
    ema: float | None = 0.999,
) -> EnergyTraining:
    """Trains a stochastic generator by fair energy scores of an ensemble for each sample.

    The loss is a weighted sum of scores; see :mod:`phire.downscaling.energy_score` for the formula
    and sources.

    Args:
        task: Network with random inputs (such as ``noise=8``) and records.
        members: Ensemble members generated for each sample, at least 2.
        crps: Weight of the CRPS of block means, averaged over ``pools``.
        differences: Weight of the CRPS of differences between neighbouring block means, averaged
            over ``pools``.
        pools: Sides of the blocks in points; 1 for single points.
        patches: Weight of the energy score of patches, each taken as a vector.
        patch: Side of these patches in points.
        learned: Weight of the energy score in the features of ``metric``; unused without it.
        metric: Directory of a learned metric; None leaves out the score ``learned``.
        layers: Layers of the metric to compare; None for its own choice.
        beta: Power of the norms of patches and features, between 0 and 2.
        ema: Default decay of the EMA of the weights.

    Raises:
        InputError: The network has no random input, an option is out of range, or the metric does
            not fit the records.
    """
    weights = {"crps": crps, "differences": differences, "patches": patches, "learned": learned}
    pools = [pools] if isinstance(pools, int) else list(pools)
    _check(task, members, weights, pools, patch, beta, metric)
    distance = None
    if metric is not None and learned:
        layers = [layers] if isinstance(layers, str) else layers
        distance = learned_kernel(task, metric, layers, beta)
    generator = task.build_network()
    if not {*RANDOM_INPUTS} & {*generator.input}:
        raise InputError(
            f"objective energy needs a network with random inputs, but {task.network} with these "
            "options has none: give it noise channels, such as "
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
    """Raises an InputError if an option is out of range."""
    if members < 2:
        raise OptionError(f"members={members} must be at least 2, as the score needs a spread.")
    if not 0 < beta < 2:
        raise OptionError(f"beta={beta:g} must be above 0 and below 2 for the score to be proper.")
    used = [name for name, weight in weights.items() if weight]
    if min(weights.values()) < 0 or used in ([], ["learned"] if metric is None else []):
        listed = ", ".join(f"{name}={weight:g}" for name, weight in weights.items())
        raise OptionError(
            f"{listed}: weights must not be negative, and at least one must be positive."
        )
    smallest = min(task.shapes.high[:2])
    sizes = {f"pools={list(pools)}": list(pools)}
    if weights["patches"]:
        sizes[f"patch={patch}"] = [patch]
    for option, values in sizes.items():
        if not values or min(values) < 1 or 2 * max(values) > smallest:
            raise OptionError(
                f"{option} must lie between 1 and half the side of the records' patches, "
                f"{smallest} points."
            )


class EnergyTraining(Supervised):
    """Objective of a stochastic generator: a weighted sum of fair energy scores.

    Args:
        generator: Network with random inputs.
        members: Ensemble members for each sample, in training and validation.
        weights: Weights of ``crps``, ``differences``, ``patches`` and ``learned``.
        pools: Sides of the blocks for ``crps`` and ``differences``, in points.
        patch: Distance of patches.
        patch_size: Side of a patch in points.
        learned: Distance of fields in a metric's features, (B,); None leaves out its score.
        scale: Fine points per coarse point.
        margin: Coarse points of context around a patch.
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
        spectrum = functools.partial(batch_spectral_error, scale=scale)
        super().__init__(
            generator, mse, validation_scores={"log_spectral_error": spectrum}, margin=margin
        )
        self.members, self.weights, self.pools = members, weights, list(pools)
        self.patch, self.patch_size, self.learned = patch, patch_size, learned

    def generate_members(self, batch: Batch, training: bool) -> list[tf.Tensor]:
        """Generates all members in one pass; each (B, H, W, C), 0 at invalid points."""
        count = self.members
        repeated = {name: tf.repeat(value, count, axis=0) for name, value in batch.items()}
        fields = self.generate(repeated, training)
        fields = tf.reshape(fields, (-1, count, *fields.shape[1:]))
        return tf.unstack(fields, num=count, axis=1)

    def score(
        self, truth: tf.Tensor, members: list[tf.Tensor], valid: tf.Tensor | None
    ) -> dict[str, tf.Tensor]:
        """Returns the scores with a positive weight by name, and their weighted sum ``loss``.

        The fields of a window are scored one by one.
        """
        scores = {}
        truth, *members = map(_single_fields, [truth, *members])
        valid = None if valid is None else _single_fields(tf.cast(valid, truth.dtype))
        if self.weights["crps"]:
            scores["crps"] = self._over_pools(lambda *pair: [pair], truth, members, valid)
        if self.weights["differences"]:
            scores["differences"] = self._over_pools(first_differences, truth, members, valid)
        if self.weights["patches"]:
            whole = None
            if valid is not None:
                whole = tf.cast(pooled(valid, None, self.patch_size)[0] > 0, truth.dtype)
            scores["patches"] = weighted_mean(fair_energy_score(self.patch, truth, members), whole)
        if self.weights["learned"] and self.learned is not None:
            scores["learned"] = tf.reduce_mean(fair_energy_score(self.learned, truth, members))
        loss = tf.add_n([self.weights[name] * value for name, value in scores.items()])
        return {"loss": loss, **scores}

    def _over_pools(
        self, values: Any, truth: tf.Tensor, members: list[tf.Tensor], valid: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns the CRPS of values derived from block means, averaged over the block sizes.

        Args:
            values: Function of block means and their mask that returns pairs (values, mask).
            truth: True fields, (B, H, W, C).
            members: Generated fields, each (B, H, W, C).
            valid: Mask of valid points; None if all are valid.
        """
        scores = []
        for size in self.pools:
            true_values = values(*pooled(truth, valid, size))
            member_values = [values(*pooled(x, valid, size)) for x in members]
            for i, (true_value, mask) in enumerate(true_values):
                crps = fair_energy_score(absolute, true_value, [x[i][0] for x in member_values])
                scores.append(weighted_mean(crps, mask))
        return tf.add_n(scores) / len(scores)

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Updates the generator by one batch; returns ``loss`` and its scores."""
        optimizer = self.optimizers["generator"]
        with tf.GradientTape() as tape:
            members = self.generate_members(batch, training=True)
            scores = self.score(self.truth(batch), members, batch.get("valid"))
            target = scaled(optimizer, scores["loss"])
        minimise(tape, target, optimizer, self.generator.trainable_variables)
        return scores

    def validation_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Computes the scores of a validation batch.

        Besides the scores of training, these are the ensemble mean's MSE, the ensemble variance,
        and the spectral error of the first member.
        """
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


def _single_fields(x: tf.Tensor) -> tf.Tensor:
    """Returns the fields (B·T, H, W, C) of windows (B, T, H, W, C); others as they are."""
    return tf.reshape(x, (-1, *x.shape[2:])) if x.shape.rank == 5 else x
