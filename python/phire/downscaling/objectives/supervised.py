"""Supervised training of a generator: a content loss between generated and true fields."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from phire.downscaling import content as contents
from phire.downscaling.content import Loss
from phire.downscaling.inputs import network_inputs
from phire.downscaling.spectrum_score import log_spectral_error
from phire.downscaling.task import Task
from phire.training import Adam, Objective, for_float16, minimise, scaled
from phire.training.objective import Batch
from phire.training.registry import objective

PRETRAINING = "pretraining"
"""Name of the phase that trains on the pixel MSE alone."""

Score = Callable[[Any, Any], Any]


@objective("content")
def content_objective(
    task: Task,
    *,
    content: str = "mse",
    layers: Sequence[str] | None = None,
    pretrain_epochs: int = 0,
    pretrain_rate: float = 1e-4,
) -> Supervised:
    """Trains on a content loss alone.

    Args:
        task: Network and records.
        content: ``mse``, ``mae``, a metric's directory, or a weighted sum of these, such as
            ``0.9*METRIC+0.1*mse``.
        layers: Layers of the metric to compare; by default its own.
        pretrain_epochs: Epochs on the pixel MSE before.
        pretrain_rate: Their learning rate.

    Raises:
        InputError: A metric does not fit the records, or the network does not fit them.
    """
    loss, scores = content_and_scores(task, content, layers)
    return Supervised(
        task.build_network(),
        loss,
        pretraining_content=pixel_content(task),
        validation_scores=scores,
        margin=task.shapes.margin,
    )


def content_and_scores(
    task: Task, content: str, layers: Sequence[str] | None
) -> tuple[Loss, dict[str, Score]]:
    """Returns a content loss, and the scores of a validation beside it.

    These are ``log_spectral_error`` and, where a metric is among the contents, ``distance``.

    Raises:
        InputError: See :func:`phire.downscaling.content.build_content`.
    """
    layers = [layers] if isinstance(layers, str) else layers
    facts = {
        "normalization": task.normalization, "channels": task.channels, "units": task.units,
        "layers": layers,
    }  # fmt: skip
    parts = contents.parse_content(content)
    scores = {"log_spectral_error": functools.partial(log_spectral_error, scale=task.shapes.scale)}
    metrics = contents.metrics_of(content)
    if metrics:
        scores["distance"] = contents.build_content([(1.0, path) for path in metrics], **facts)
    return contents.build_content(parts, **facts), scores


def pixel_content(task: Task) -> Loss:
    """Returns the pixel MSE, which pretraining is on."""
    return contents.build_content(
        [(1.0, "mse")],
        normalization=task.normalization, channels=task.channels, units=task.units,
    )  # fmt: skip


class Supervised(Objective):
    """Trains a generator by a content loss; in the phase ``pretraining`` by the pixel MSE.

    Where batches have ``valid``, true and generated fields are 0 at invalid points before anything
    is made of them, and losses are means over the valid ones.

    Args:
        generator: Network of named inputs to the fine field.
        content: ``content(truth, generated, valid)``, all (B, H, W, C) and normalised, a scalar;
            ``valid`` may be None.
        pretraining_content: What to pretrain on.
        validation_scores: Further scalars of (truth, generated) for validation, by name.
        margin: Coarse points around the patch, which :meth:`panels` leaves off.
    """

    def __init__(
        self,
        generator: keras.Model,
        content: Loss,
        *,
        pretraining_content: Loss,
        validation_scores: Mapping[str, Score] | None = None,
        margin: int = 0,
    ) -> None:
        self.generator = generator
        self.content = content
        self.pretraining_content = pretraining_content
        self.validation_scores = dict(validation_scores or {})
        self.margin = margin
        self.networks = {"generator": generator}
        self.optimizers = {"generator": self._adam(generator)}
        self.exported: tuple[str, ...] = ("generator",)
        self._pretraining = False

    @staticmethod
    def _adam(network: keras.Model) -> keras.optimizers.Optimizer:
        optimizer = for_float16(Adam(1e-4))
        optimizer.build(network.trainable_variables)
        return optimizer

    def begin(self, phase: str) -> None:
        """Pretraining is on the pixel MSE, every other phase on the content."""
        self._pretraining = phase == PRETRAINING

    def generate(self, batch: Batch, training: bool, salt: int = 0) -> tf.Tensor:
        """Returns generated fields, 0 where they are not valid.

        Args:
            batch: Arrays of a sample.
            training: Whether layers behave as in training.
            salt: Another number draws other random inputs in the same step.
        """
        seed = None
        if {"noise", "seed"} & set(self.generator.input):
            seed = tf.bitwise.bitwise_xor(self.random_seed(), [0, salt << 20])
        inputs = network_inputs(self.generator, batch, seed)
        generated = self.generator(inputs, training=training)
        valid = batch.get("valid")
        return generated if valid is None else generated * tf.cast(valid, generated.dtype)

    @staticmethod
    def truth(batch: Batch) -> tf.Tensor:
        """Returns the true fields, 0 where they are not valid."""
        high, valid = batch["high"], batch.get("valid")
        # Not multiplied: what is stored at an invalid point may be anything, NaN included.
        return high if valid is None else tf.where(tf.cast(valid, tf.bool), high, 0)

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Updates the generator by one batch."""
        content = self.pretraining_content if self._pretraining else self.content
        optimizer = self.optimizers["generator"]
        with tf.GradientTape() as tape:
            generated = self.generate(batch, training=True)
            loss = content(self.truth(batch), generated, batch.get("valid"))
            target = scaled(optimizer, loss)
        minimise(tape, target, optimizer, self.generator.trainable_variables)
        return {"loss": loss, "content": loss}

    def validation_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Losses of a held-out batch; nothing is updated."""
        high, generated = self.truth(batch), self.generate(batch, training=False)
        valid = batch.get("valid")
        content = self.pretraining_content if self._pretraining else self.content
        return {
            "loss": content(high, generated, valid),
            "mse": contents.mse(high, generated, valid),
            **self.scores(high, generated),
        }

    def scores(self, high: tf.Tensor, generated: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the validation scores; the steps of a window count as fields."""
        fields = [tf.reshape(x, (-1, *x.shape[-3:])) for x in (high, generated)]
        return {name: score(*fields) for name, score in self.validation_scores.items()}

    def panels(self, batch: Batch, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Low resolution, generated and true, side by side, of the first channel."""
        batch = {name: value[:4] for name, value in batch.items()}
        fields = [batch["low"], self.generate(batch, training=False), self.truth(batch)]
        low, generated, high = (x[:, -1] if x.shape.rank == 5 else x for x in fields)
        if self.margin:
            low = low[:, self.margin : -self.margin, self.margin : -self.margin]
        nearest = tf.image.resize(low[..., :1], high.shape[1:3], method="nearest")
        strip = tf.concat([nearest, generated[..., :1], high[..., :1]], axis=2).numpy()
        # Fixed by the truth, so that the panels of all epochs compare.
        least, most = np.percentile(high[..., 0], [1, 99])
        return {"low, generated, true": np.clip((strip - least) / max(most - least, 1e-9), 0, 1)}
