"""AtmoDist's pretext task: classification of the time lag between two patches."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from phire.errors import InputError
from phire.networks.temporal_distance_head import temporal_distance_network
from phire.rplearn.pretext_task import Task
from phire.training.objective import Batch, Objective, Scalars, minimise, scaled, weight_decay
from phire.training.registry import objective


@objective("temporal-distance")
def temporal_distance_objective(
    task: Task, *, head_filters: int = 128, label_smoothing: float = 0.0, flips: bool = False
) -> TemporalDistance:
    """Trains an encoder to classify the time lag between two patches (AtmoDist).

    Args:
        task: The encoder and its patches.
        head_filters: Filters of the two convolutions that classify the lag.
        label_smoothing: Share of the probability that is spread evenly over all lags.
        flips: Mirror pairs at random, an augmentation for small data sets.

    Raises:
        InputError: An option has a value that is not allowed.
    """
    if head_filters < 1 or not 0 <= label_smoothing <= 1:
        raise InputError(
            f"objective temporal-distance: head_filters={head_filters} must be at least 1, and "
            f"label_smoothing={label_smoothing} must lie between 0 and 1."
        )
    network = temporal_distance_network(
        task.build_encoder(), task.classes, head_filters=head_filters
    )
    return TemporalDistance(network, task.optimizer(), label_smoothing=label_smoothing, flips=flips)


class TemporalDistance(Objective):
    """Trains a siamese network on the cross-entropy of the lag.

    The network, named ``temporal_distance``, maps [first, second] to logits; its optimizer is named
    ``network``.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        label_smoothing: float = 0.0,
        flips: bool = False,
    ) -> None:
        """Stores the network, its optimizer and the options of the objective.

        Args:
            network: The siamese network.
            optimizer: Its optimizer.
            label_smoothing, flips: See :func:`temporal_distance_objective`.
        """
        self.network = network
        self.networks = {"temporal_distance": network}
        optimizer.build(network.trainable_variables)
        self.optimizers = {"network": optimizer}
        self.exported = ("temporal_distance",)
        self.classes = network.outputs[0].shape[-1]
        self.label_smoothing = label_smoothing
        self.flips = flips

    def train_step(self, batch: Batch) -> Scalars:
        """Applies one gradient step; ``loss`` includes the weight decay."""
        optimizer = self.optimizers["network"]
        first, second = batch["first"], batch["second"]
        if self.flips:
            first, second = mirrored(first, second, self.random_seed())
        with tf.GradientTape() as tape:
            logits = self.network([first, second], training=True)
            truth = tf.one_hot(batch["label"] - 1, self.classes)
            if self.label_smoothing:
                truth = (1 - self.label_smoothing) * truth + self.label_smoothing / self.classes
            entropy = tf.nn.softmax_cross_entropy_with_logits(truth, tf.cast(logits, tf.float32))
            loss = tf.reduce_mean(entropy) + weight_decay(self.network)
            minimised = scaled(optimizer, loss)
        minimise(tape, minimised, optimizer, self.network.trainable_variables)
        return {"loss": loss, **scores(logits, batch["label"])}

    def validation_step(self, batch: Batch) -> Scalars:
        """Computes cross-entropy (``loss``), accuracy, top-3 accuracy and confusion matrix.

        ``confusion`` counts pairs by true lag (rows) and predicted lag (columns).
        """
        logits = self.network([batch["first"], batch["second"]], training=False)
        found = scores(logits, batch["label"])
        confusion = tf.math.confusion_matrix(
            batch["label"] - 1, tf.argmax(logits, axis=-1), self.classes
        )
        return {"loss": found["cross_entropy"], **found, "confusion": confusion}

    def panels(self, batch: Batch, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns an image of the confusion matrix of all validation pairs, with row sums of 1."""
        if "confusion" not in totals:
            return {}
        counts = totals["confusion"].astype(np.float32)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        width = max(1, 256 // self.classes)  # pixels per cell, for an image of about 256 pixels
        image = np.kron(shares, np.ones((width, width), np.float32))
        return {"confusion": image[None, ..., None]}


def scores(logits: tf.Tensor, label: tf.Tensor) -> dict[str, tf.Tensor]:
    """Computes cross-entropy, accuracy and top-3 accuracy of logits; lags count from 1."""
    logits = tf.cast(logits, tf.float32)
    truth = tf.cast(label, tf.int32) - 1
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(truth, logits)
    return {
        "cross_entropy": tf.reduce_mean(entropy),
        "accuracy": _hits(truth, logits, 1),
        "top_3_accuracy": _hits(truth, logits, 3),
    }


def _hits(truth: tf.Tensor, logits: tf.Tensor, k: int) -> tf.Tensor:
    # tf.math.in_top_k counts every tie as a hit: a network with constant logits would score 1.
    predicted = tf.math.top_k(logits, min(k, logits.shape[-1])).indices
    return tf.reduce_mean(tf.reduce_max(tf.cast(predicted == truth[:, None], tf.float32), axis=-1))


def mirrored(first: tf.Tensor, second: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mirrors pairs at random along rows and columns, both patches of a pair in the same way.

    Args:
        first, second: Patches, (B, H, W, C).
        seed: (2,) seed of stateless random numbers.
    """
    for axis in (1, 2):
        axis_seed = tf.bitwise.bitwise_xor(seed, [0, axis << 28])
        chosen = tf.random.stateless_uniform([tf.shape(first)[0], 1, 1, 1], axis_seed) < 0.5
        first = tf.where(chosen, tf.reverse(first, [axis]), first)
        second = tf.where(chosen, tf.reverse(second, [axis]), second)
    return first, second
