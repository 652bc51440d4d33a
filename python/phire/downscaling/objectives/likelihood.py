"""Likelihood objective: predicts the parameters of a distribution for every value."""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from phire.downscaling.contents.pointwise import mse
from phire.downscaling.contents.weighting import AreaWeights, mean
from phire.downscaling.generator_task import Task
from phire.downscaling.objectives.supervised import Supervised
from phire.downscaling.predicted_distributions.registry import Distribution
from phire.downscaling.predicted_distributions.registry import distribution as distributions
from phire.downscaling.spectrum_score import batch_spectral_error
from phire.errors import InputError
from phire.part_registry import Specification
from phire.training import minimise, scaled
from phire.training.objective import Batch
from phire.training.registry import objective


@objective("likelihood")
def likelihood_objective(
    task: Task, *, distribution: Specification = "gaussian", area: bool = False
) -> LikelihoodTraining:
    """Trains a network to predict a distribution of every value, by maximum likelihood.

    The network has one output per target and parameter of the distribution. A prediction is the
    mean or median of the distribution, or members drawn from it independently at each point.

    Args:
        task: Network and records.
        distribution: ``gaussian``, ``bernoulli-gamma`` (for precipitation) or ``quantiles``; or a
            mapping with options, such as ``{name: quantiles, levels: [0.1, 0.5, 0.9]}``.
        area: Weight values by the area of their grid cells.

    Raises:
        InputError: An option does not fit the network or the records.
    """
    chosen: Distribution = distributions.build(distribution, task.normalization)
    activation = task.network_options.get("output_activation", "linear")
    if activation != "linear":
        raise InputError(
            f"objective likelihood needs outputs of any sign, not output_activation={activation}: "
            "leave it out."
        )
    if task.conserve:
        raise InputError(
            "--conserve applies to networks that predict fields, but the objective likelihood "
            "predicts parameters of a distribution: leave it out."
        )
    return LikelihoodTraining(
        task.build_network(outputs=chosen.parameters),
        chosen,
        scale=task.shapes.scale,
        margin=task.shapes.margin,
        area=AreaWeights(task.schema) if area else None,
    )


class LikelihoodTraining(Supervised):
    """Objective of a network that predicts the parameters of a distribution.

    Args:
        generator: Network whose output has ``distribution.parameters`` channels for each target.
        distribution: Distribution of the targets.
        scale: Fine points per coarse point.
        margin: Coarse points of context around a patch.
        area: Weights by the area of grid cells; None for equal weights.
    """

    def __init__(
        self,
        generator: keras.Model,
        distribution: Distribution,
        *,
        scale: int,
        margin: int = 0,
        area: AreaWeights | None = None,
    ) -> None:
        spectrum = functools.partial(batch_spectral_error, scale=scale)
        super().__init__(
            generator, self._negative_log_likelihood,
            validation_scores={"log_spectral_error": spectrum}, margin=margin, area=area,
        )  # fmt: skip
        self.distribution = distribution

    def _negative_log_likelihood(self, truth: Any, outputs: Any, weights: Any) -> tf.Tensor:
        """Returns the weighted mean of the distribution's loss, as a content loss."""
        return mean(self.distribution.loss(tf.cast(truth, outputs.dtype), outputs), weights)

    def generate(self, batch: Batch, training: bool, salt: int = 0) -> tf.Tensor:
        """Returns the centre of the distribution, 0 at invalid points."""
        return self._center(self.outputs(batch, training, salt), batch)

    def _center(self, outputs: tf.Tensor, batch: Batch) -> tf.Tensor:
        """Returns the centre of a predicted distribution, 0 at invalid points."""
        center, valid = self.distribution.center(outputs), batch.get("valid")
        return center if valid is None else center * tf.cast(valid, center.dtype)

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Updates the generator by one batch."""
        optimizer = self.optimizers["generator"]
        with tf.GradientTape() as tape:
            outputs = self.outputs(batch, training=True)
            loss = self.content(self.truth(batch), outputs, self.weights(batch))
            target = scaled(optimizer, loss)
        minimise(tape, target, optimizer, self.generator.trainable_variables)
        return {"loss": loss}

    def validation_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Computes the loss of a validation batch, and scores of the distribution's centre."""
        high, weights = self.truth(batch), self.weights(batch)
        outputs = self.outputs(batch, training=False)
        center = self._center(outputs, batch)
        return {
            "loss": self.content(high, outputs, weights),
            "mse": mse(high, center, weights),
            **self.scores(high, center),
        }
