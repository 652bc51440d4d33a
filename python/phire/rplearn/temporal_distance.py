"""AtmoDist's pretext task: classification of the time lag of two patches."""

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
    """Trains an encoder to classify the time lag of two patches (AtmoDist).

    Args:
        task: Encoder and pairs.
        head_filters: Filters of the two convolutions that tell the lag.
        label_smoothing: Share of probability given to all lags alike.
        flips: Mirror pairs at random, as augmentation where data are few.

    Raises:
        InputError: An option is impossible.
    """
    if head_filters < 1 or not 0 <= label_smoothing <= 1:
        raise InputError(
            f"objective temporal-distance: head_filters={head_filters} must be one at least, and "
            f"label_smoothing={label_smoothing} lie between 0 and 1."
        )
    network = temporal_distance_network(
        task.build_encoder(), task.classes, head_filters=head_filters
    )
    return TemporalDistance(network, task.optimizer(), label_smoothing=label_smoothing, flips=flips)


class TemporalDistance(Objective):
    """Trains a siamese network to classify the lag of a pair by cross-entropy.

    Its network is ``temporal_distance``, logits of [first, second]; its optimizer ``network``.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        label_smoothing: float = 0.0,
        flips: bool = False,
    ) -> None:
        """Args: the network and its optimizer; ``label_smoothing``, the share of probability given
        to all lags alike; ``flips``, whether both patches of a pair are mirrored at random."""
        self.network = network
        self.networks = {"temporal_distance": network}
        optimizer.build(network.trainable_variables)
        self.optimizers = {"network": optimizer}
        self.exported = ("temporal_distance",)
        self.classes = network.outputs[0].shape[-1]
        self.label_smoothing = label_smoothing
        self.flips = flips

    def train_step(self, batch: Batch) -> Scalars:
        """One step of gradient descent; ``loss`` includes the weight decay."""
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
        """Cross-entropy (``loss``), accuracy and top-3 accuracy of a batch; its confusion matrix.

        ``confusion`` counts the pairs of each true lag (rows) by the lag told (columns).
        """
        logits = self.network([batch["first"], batch["second"]], training=False)
        found = scores(logits, batch["label"])
        confusion = tf.math.confusion_matrix(
            batch["label"] - 1, tf.argmax(logits, axis=-1), self.classes
        )
        return {"loss": found["cross_entropy"], **found, "confusion": confusion}

    def panels(self, batch: Batch, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the confusion matrix over all validation pairs, its rows scaled to sum to one."""
        if "confusion" not in totals:
            return {}
        counts = totals["confusion"].astype(np.float32)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        width = max(1, 256 // self.classes)  # of a cell, for an image that can be read
        image = np.kron(shares, np.ones((width, width), np.float32))
        return {"confusion": image[None, ..., None]}


def scores(logits: tf.Tensor, label: tf.Tensor) -> dict[str, tf.Tensor]:
    """Cross-entropy, accuracy and top-3 accuracy of logits against lags counting from 1."""
    logits = tf.cast(logits, tf.float32)
    truth = tf.cast(label, tf.int32) - 1
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(truth, logits)
    return {
        "cross_entropy": tf.reduce_mean(entropy),
        "accuracy": _hits(truth, logits, 1),
        "top_3_accuracy": _hits(truth, logits, 3),
    }


def _hits(truth: tf.Tensor, logits: tf.Tensor, k: int) -> tf.Tensor:
    # Not tf.math.in_top_k, which counts every tie as a hit: a dead network would always be right.
    told = tf.math.top_k(logits, min(k, logits.shape[-1])).indices
    return tf.reduce_mean(tf.reduce_max(tf.cast(told == truth[:, None], tf.float32), axis=-1))


def mirrored(first: tf.Tensor, second: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mirrors pairs at random, both patches of a pair alike, along rows and along columns.

    Args:
        first, second: (B, H, W, C).
        seed: (2,) integers; the same seed mirrors the same pairs.
    """
    for axis in (1, 2):
        own = tf.bitwise.bitwise_xor(seed, [0, axis << 28])
        chosen = tf.random.stateless_uniform([tf.shape(first)[0], 1, 1, 1], own) < 0.5
        first = tf.where(chosen, tf.reverse(first, [axis]), first)
        second = tf.where(chosen, tf.reverse(second, [axis]), second)
    return first, second
