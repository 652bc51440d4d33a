"""Pretext tasks of reconstruction: an autoencoder, and inpainting of a patch's centre."""

from __future__ import annotations

from abc import abstractmethod

import keras
import tensorflow as tf

from phire.errors import InputError
from phire.networks.decoders import reconstruction_network
from phire.rplearn.metric import LearnedMetric
from phire.rplearn.metric_description import read_metric_file
from phire.rplearn.pretext_task import Task
from phire.training.objective import Batch, Objective, Scalars, minimise, scaled, weight_decay
from phire.training.registry import objective

FEATURE_WEIGHT = 0.9


@objective("autoencoder")
def autoencoder_objective(task: Task) -> Autoencoder:
    """Trains an encoder by reconstructing patches from its features."""
    encoder = task.build_encoder()
    network = reconstruction_network(
        encoder, task.input_shape, name="autoencoder", **task.mirror(encoder)
    )
    return Autoencoder(network, task.optimizer())


@objective("inpainting")
def inpainting_objective(task: Task, *, metric: str | None = None) -> Inpainting:
    """Trains an encoder by filling the central quarter of patches.

    Args:
        task: The encoder and its patches.
        metric: Directory of a metric with the same channels; the loss is then 0.9 · learned
            distance + 0.1 · MSE. By default the MSE.

    Raises:
        InputError: The metric has other channels, or the patches are too small.
    """
    if metric is not None:
        metric_channels = read_metric_file(metric)["channels"]
        if tuple(metric_channels) != tuple(task.channels):
            raise InputError(
                f"metric {metric} was trained on {', '.join(metric_channels)}, the records hold "
                f"{', '.join(task.channels)}: name a metric with the same channels."
            )
    encoder = task.build_encoder()
    shape = (*(part.stop - part.start for part in hole_of(task.input_shape[:2])),
             task.input_shape[2])  # fmt: skip
    network = reconstruction_network(encoder, shape, name="inpainting", **task.mirror(encoder))
    loaded = None if metric is None else LearnedMetric.load(metric)
    return Inpainting(network, task.optimizer(), metric=loaded)


def hole_of(patch: tuple[int, int]) -> tuple[slice, slice]:
    """Returns the rows and columns of the central hole: 40×40 points of 160×160.

    Raises:
        InputError: The patch has fewer than four rows or columns.
    """
    if min(patch) < 4:
        raise InputError(
            f"Patches of {patch[0]}×{patch[1]} have no centre to inpaint: make records with "
            "larger patches."
        )
    sizes = [length // 4 for length in patch]
    starts = [(length - size) // 2 for length, size in zip(patch, sizes)]
    return tuple(slice(start, start + size) for start, size in zip(starts, sizes))


class Reconstruction(Objective):
    """Base class of both reconstruction tasks: a network from patches to pixels, with a loss."""

    def __init__(self, network: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        self.network = network
        self.networks = {network.name: network}
        optimizer.build(network.trainable_variables)
        self.optimizers = {"network": optimizer}
        self.exported = (network.name,)

    @abstractmethod
    def losses(self, patch: tf.Tensor, training: bool) -> Scalars:
        """Computes the losses of a batch by name; ``loss`` is minimised."""

    def train_step(self, batch: Batch) -> Scalars:
        """Applies one gradient step, on the first patch of each pair."""
        optimizer = self.optimizers["network"]
        with tf.GradientTape() as tape:
            found = self.losses(batch["first"], True)
            loss = found["loss"] + weight_decay(self.network)
            minimised = scaled(optimizer, loss)
        minimise(tape, minimised, optimizer, self.network.trainable_variables)
        return {**found, "loss": loss}

    def validation_step(self, batch: Batch) -> Scalars:
        """Computes the losses of a batch, without weight decay."""
        return self.losses(batch["first"], False)


class Autoencoder(Reconstruction):
    """Reconstructs a patch from its features; the loss is the mean squared error."""

    def losses(self, patch: tf.Tensor, training: bool) -> Scalars:
        """Computes ``loss``, the mean squared error of the normalised patches."""
        reconstructed = tf.cast(self.network(patch, training=training), tf.float32)
        return {"loss": tf.reduce_mean(tf.square(reconstructed - patch))}


class Inpainting(Reconstruction):
    """Reconstructs a hole in the centre of a patch from its surroundings.

    Without a metric, the loss is the mean squared error over the hole. With a metric, it is 0.9 ·
    learned distance between the patch and the patch with its hole filled + 0.1 · mean squared error
    over the hole.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        metric: LearnedMetric | None = None,
    ) -> None:
        """Stores the network, its optimizer and the metric of the loss.

        Args:
            network: Network from a patch to the pixels of its hole.
            optimizer: Its optimizer.
            metric: Learned metric of the loss; None for the mean squared error alone.
        """
        super().__init__(network, optimizer)
        self.metric = metric
        patch = tuple(network.inputs[0].shape[1:3])
        self.hole = hole_of(patch)
        rows, columns = self.hole
        self._border = [
            [0, 0],
            [rows.start, patch[0] - rows.stop],
            [columns.start, patch[1] - columns.stop],
            [0, 0],
        ]
        self._extractor = metric.extractor((metric.layer,)) if metric else None

    def _inside(self, pixels: tf.Tensor) -> tf.Tensor:
        """Pads the pixels of the hole with zeros to the size of the patch."""
        return tf.pad(pixels, self._border)

    def losses(self, patch: tf.Tensor, training: bool) -> Scalars:
        """Computes ``loss``, ``pixel_loss`` over the hole and, with a metric, ``learned_loss``."""
        rows, columns = self.hole
        truth = patch[:, rows, columns]
        surroundings = patch - self._inside(truth)
        reconstructed = tf.cast(self.network(surroundings, training=training), tf.float32)
        pixel = tf.reduce_mean(tf.square(reconstructed - truth))
        if self._extractor is None:
            return {"loss": pixel, "pixel_loss": pixel}
        layer = self.metric.layer
        filled = surroundings + self._inside(reconstructed)
        features = [self._extractor(x, training=False)[layer] for x in (patch, filled)]
        learned = self.metric.scale * tf.reduce_mean(tf.square(features[0] - features[1]))
        loss = FEATURE_WEIGHT * learned + (1 - FEATURE_WEIGHT) * pixel
        return {"loss": loss, "pixel_loss": pixel, "learned_loss": learned}
