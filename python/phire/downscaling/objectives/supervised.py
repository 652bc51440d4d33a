"""Supervised objective: trains a generator by a content loss alone.

The class is also the base of the adversarial and probabilistic objectives.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from phire.downscaling.contents.pointwise import mse
from phire.downscaling.contents.registry import Loss
from phire.downscaling.contents.weighted_sum import build_content, metrics_of, parse_content
from phire.downscaling.contents.weighting import AreaWeights
from phire.downscaling.generator_task import Task
from phire.downscaling.network_inputs import network_inputs
from phire.downscaling.spectrum_score import batch_spectral_error
from phire.part_registry import options_of
from phire.training import Adam, Objective, for_float16, minimise, scaled
from phire.training.objective import Batch
from phire.training.registry import objective

PRETRAINING = "pretraining"
"""Name of the phase that trains on the pixel MSE alone."""

Score = Callable[[Any, Any], Any]
"""Function of truth and generated fields that returns a scalar."""


def content_arguments(
    task: Task,
    *,
    content: str = "mse",
    layers: Sequence[str] | None = None,
    area: bool = False,
    pretrain_epochs: int = 0,
    pretrain_rate: float = 1e-4,
) -> dict[str, Any]:
    """Returns the arguments of :class:`Supervised` for objectives with a content loss.

    The keyword-only arguments are options of all these objectives. The training call reads
    ``pretrain_epochs`` and ``pretrain_rate`` from the run's options.

    Args:
        task: Network and records.
        content: Content loss: a name from ``phire parts content`` with options, as in
            ``huber(delta=0.5)``, a metric directory, or a weighted sum of these, such as
            ``0.8*dssim+0.2*mae``.
        layers: Layers of the metrics to compare; None for each metric's own choice.
        area: Weight values in the content loss by the area of their grid cells.
        pretrain_epochs: Epochs of pretraining on the pixel MSE.
        pretrain_rate: Learning rate of the pretraining.

    Raises:
        InputError: A metric does not fit the records.
    """
    loss, scores = content_and_scores(task, content, layers)
    return {
        "content": loss,
        "validation_scores": scores,
        "margin": task.shapes.margin,
        "area": AreaWeights(task.schema) if area else None,
    }


@objective("content")
@options_of(content_arguments)
def content_objective(task: Task, **options: Any) -> Supervised:
    """Trains on a content loss alone.

    Args:
        task: Network and records.
        **options: See :func:`content_arguments`.

    Raises:
        InputError: The network or a metric does not fit the records.
    """
    return Supervised(task.build_network(), **content_arguments(task, **options))


def content_and_scores(
    task: Task, content: str, layers: Sequence[str] | None
) -> tuple[Loss, dict[str, Score]]:
    """Returns a content loss and the validation scores by name.

    The scores are ``log_spectral_error`` and, if the content holds a metric, ``distance``.

    Raises:
        InputError: See :func:`phire.downscaling.contents.weighted_sum.build_content`.
    """
    layers = [layers] if isinstance(layers, str) else layers
    scores = {
        "log_spectral_error": functools.partial(batch_spectral_error, scale=task.shapes.scale)
    }
    metrics = metrics_of(content)
    if metrics:
        distance = build_content([(1.0, path) for path in metrics], task, layers)
        scores["distance"] = functools.partial(distance, weights=None)
    return build_content(parse_content(content), task, layers), scores


class Supervised(Objective):
    """Objective of a generator with a content loss; the phase ``pretraining`` uses the pixel MSE.

    If batches hold the mask ``valid``, true and generated fields are set to 0 at invalid points,
    and losses are means over valid points.

    Args:
        generator: Network from the arrays of a sample to fine fields.
        content: Content loss.
        validation_scores: Further validation scores by name; None to add no score.
        margin: Coarse points of context around a patch, which images leave out.
        area: Weights by the area of grid cells; None for equal weights.
        beta_1: Adam's decay of the first moment.
    """

    def __init__(
        self,
        generator: keras.Model,
        content: Loss,
        *,
        validation_scores: Mapping[str, Score] | None = None,
        margin: int = 0,
        area: AreaWeights | None = None,
        beta_1: float = 0.9,
    ) -> None:
        self.generator = generator
        self.content = content
        self.validation_scores = dict(validation_scores or {})
        self.margin = margin
        self.area = area
        self.networks = {"generator": generator}
        self.optimizers = {"generator": self._adam(generator, beta_1)}
        self.exported: tuple[str, ...] = ("generator",)
        self._pretraining = False

    @staticmethod
    def _adam(network: keras.Model, beta_1: float = 0.9) -> keras.optimizers.Optimizer:
        """Returns Adam, built for a network's variables; phases set its learning rate."""
        optimizer = for_float16(Adam(1e-4, beta_1=beta_1))
        optimizer.build(network.trainable_variables)
        return optimizer

    def begin(self, phase: str) -> None:
        """Selects the loss: pixel MSE in pretraining, the content loss in all other phases."""
        self._pretraining = phase == PRETRAINING

    def outputs(self, batch: Batch, training: bool, salt: int = 0) -> tf.Tensor:
        """Returns the generator's output.

        Args:
            batch: Arrays of the samples by name.
            training: True to run layers in training mode.
            salt: Number of the pass within the step; each draws other random inputs.
        """
        seed = None
        if {"noise", "seed"} & set(self.generator.input):
            seed = tf.bitwise.bitwise_xor(self.random_seed(), [0, salt << 20])
        return self.generator(network_inputs(self.generator, batch, seed), training=training)

    def generate(self, batch: Batch, training: bool, salt: int = 0) -> tf.Tensor:
        """Returns generated fields, 0 at invalid points; see :meth:`outputs`."""
        generated = self.outputs(batch, training, salt)
        valid = batch.get("valid")
        return generated if valid is None else generated * tf.cast(valid, generated.dtype)

    @staticmethod
    def truth(batch: Batch) -> tf.Tensor:
        """Returns the true fields, 0 at invalid points."""
        high, valid = batch["high"], batch.get("valid")
        # Selected, not multiplied, because values at invalid points may be NaN.
        return high if valid is None else tf.where(tf.cast(valid, tf.bool), high, 0)

    def weights(self, batch: Batch) -> tf.Tensor | None:
        """Returns the weights of values in losses, validity times cell area; None if all equal."""
        valid = batch.get("valid")
        if self.area is None:
            return valid
        areas = self.area(batch["position"])
        return areas if valid is None else areas * tf.cast(valid, areas.dtype)

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Updates the generator by one batch."""
        content = mse if self._pretraining else self.content
        optimizer = self.optimizers["generator"]
        with tf.GradientTape() as tape:
            generated = self.generate(batch, training=True)
            loss = content(self.truth(batch), generated, self.weights(batch))
            target = scaled(optimizer, loss)
        minimise(tape, target, optimizer, self.generator.trainable_variables)
        return {"loss": loss, "content": loss}

    def validation_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Computes the losses and scores of a validation batch."""
        high, generated = self.truth(batch), self.generate(batch, training=False)
        weights = self.weights(batch)
        content = mse if self._pretraining else self.content
        return {
            "loss": content(high, generated, weights),
            "mse": mse(high, generated, weights),
            **self.scores(high, generated),
        }

    def scores(self, high: tf.Tensor, generated: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the validation scores by name; steps of a window count as separate fields."""
        fields = [tf.reshape(x, (-1, *x.shape[-3:])) for x in (high, generated)]
        return {name: score(*fields) for name, score in self.validation_scores.items()}

    def panels(self, batch: Batch, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns low-resolution, generated and true fields of the first channel, side by side."""
        batch = {name: value[:4] for name, value in batch.items()}
        fields = [batch["low"], self.generate(batch, training=False), self.truth(batch)]
        low, generated, high = (x[:, -1] if x.shape.rank == 5 else x for x in fields)
        if self.margin:
            low = low[:, self.margin : -self.margin, self.margin : -self.margin]
        nearest = tf.image.resize(low[..., :1], high.shape[1:3], method="nearest")
        strip = tf.concat([nearest, generated[..., :1], high[..., :1]], axis=2).numpy()
        # The truth sets the range of values, so images of different epochs are comparable.
        least, most = np.percentile(high[..., 0], [1, 99])
        return {"low, generated, true": np.clip((strip - least) / max(most - least, 1e-9), 0, 1)}
