"""A toy objective: a line fitted to points, with batch normalisation and momentum to remember."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from phire.networks.fast_cpu import BatchNormalization
from phire.training import Objective, for_float16, minimise, scaled


class Line(Objective):
    """Regression of a small convolutional network on the mean of its input."""

    def __init__(self):
        inputs = keras.Input((4, 4, 1))
        x = keras.layers.Conv2D(3, 3, padding="same")(inputs)
        x = BatchNormalization()(x)
        outputs = keras.layers.Dense(1)(keras.layers.Flatten()(keras.layers.ReLU()(x)))
        self.network = keras.Model(inputs, outputs, name="line")
        self.optimizer = for_float16(keras.optimizers.SGD(0.05, momentum=0.9, clipnorm=1.0))
        self.optimizer.build(self.network.trainable_variables)
        self.networks = {"line": self.network}
        self.optimizers = {"line": self.optimizer}
        self.exported = ("line",)

    def _loss(self, batch, training):
        outputs = tf.cast(self.network(batch["x"], training=training)[:, 0], tf.float32)
        return tf.reduce_mean((outputs - batch["y"]) ** 2)

    def train_step(self, batch):
        with tf.GradientTape() as tape:
            loss = self._loss(batch, True)
            scaled_loss = scaled(self.optimizer, loss)
        minimise(tape, scaled_loss, self.optimizer, self.network.trainable_variables)
        return {"loss": loss}

    def validation_step(self, batch):
        return {"loss": self._loss(batch, False)}


def points(epoch, skip=0, shard=(1, 0), poisoned=None):
    """40 batches of eight fields and their means, in the order of the epoch."""
    random = np.random.default_rng(epoch)
    x = random.normal(size=(320, 4, 4, 1)).astype("f4")
    y = x.mean((1, 2, 3))
    if poisoned is not None:
        y[poisoned] = np.nan
    dataset = tf.data.Dataset.from_tensor_slices({"x": x, "y": y}).skip(8 * skip)
    return dataset.shard(*shard).batch(8 // shard[0], drop_remainder=True)
