"""Likelihood: a network of the parameters of every value's distribution."""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from phire.downscaling.contents.pointwise import mse
from phire.downscaling.contents.weighting import AreaWeights, mean
from phire.downscaling.distributions.registry import Distribution
from phire.downscaling.distributions.registry import distribution as distributions
from phire.downscaling.generator_task import Task
from phire.downscaling.objectives.supervised import Supervised
from phire.downscaling.spectrum_score import log_spectral_error
from phire.errors import InputError
from phire.parts import Specification
from phire.training import minimise, scaled
from phire.training.objective import Batch
from phire.training.registry import objective


@objective("likelihood")
def likelihood_objective(
    task: Task, *, distribution: Specification = "gaussian", area: bool = False
) -> LikelihoodTraining:
    """Trains the parameters of a distribution of every value by its likelihood.

    The network has as many outputs for each target as the distribution has parameters. Predictions
    are the mean or the median, or members whose values are drawn at each point by itself.

    Args:
        task: Network and records.
        distribution: ``gaussian``, ``bernoulli-gamma`` for rain, ``quantiles``, or a mapping with
            its options, such as ``{name: quantiles, levels: [0.1, 0.5, 0.9]}``.
        area: Weigh values by the area of their grid cells.

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
            "--conserve is for networks that give fields, but the objective likelihood gives "
            "parameters of a distribution: leave it out."
        )
    return LikelihoodTraining(
        task.build_network(outputs=chosen.parameters),
        chosen,
        scale=task.shapes.scale,
        margin=task.shapes.margin,
        area=AreaWeights(task.schema) if area else None,
    )


class LikelihoodTraining(Supervised):
    """Trains a network of a distribution's parameters.

    Args:
        generator: Network whose output has ``distribution.parameters`` channels for each target.
        distribution: Distribution of normalised targets.
        scale, margin: Fine points to a coarse one, and coarse points around the patch.
        area: Weights by the area of grid cells; None for equal ones.
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
        spectrum = functools.partial(log_spectral_error, scale=scale)
        super().__init__(
            generator, self._negative_log_likelihood,
            validation_scores={"log_spectral_error": spectrum}, margin=margin, area=area,
        )  # fmt: skip
        self.distribution = distribution

    def _negative_log_likelihood(self, truth: Any, outputs: Any, weights: Any) -> tf.Tensor:
        return mean(self.distribution.loss(tf.cast(truth, outputs.dtype), outputs), weights)

    def generate(self, batch: Batch, training: bool, salt: int = 0) -> tf.Tensor:
        """Returns the distribution's center, 0 where invalid."""
        return self._center(self.outputs(batch, training, salt), batch)

    def _center(self, outputs: tf.Tensor, batch: Batch) -> tf.Tensor:
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
        """Likelihood of a held-out batch, and scores of the distribution's center."""
        high, weights = self.truth(batch), self.weights(batch)
        outputs = self.outputs(batch, training=False)
        center = self._center(outputs, batch)
        return {
            "loss": self.content(high, outputs, weights),
            "mse": mse(high, center, weights),
            **self.scores(high, center),
        }
