"""WGAN objective: content loss and a Wasserstein critic with gradient penalty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from phire.downscaling.contents.registry import Loss
from phire.downscaling.generator_task import Task
from phire.downscaling.objectives.supervised import Supervised, content_arguments
from phire.errors import InputError
from phire.networks import discriminator as discriminators
from phire.part_registry import Specification, options_of
from phire.training import minimise, scaled
from phire.training.objective import Batch
from phire.training.registry import objective


@objective("wgan")
@options_of(content_arguments)
def wgan_objective(
    task: Task,
    *,
    weight: float = 1e-3,
    penalty: float = 10.0,
    critic: Specification = "srgan",
    critic_steps: int = 1,
    beta_1: float = 0.5,
    **options: Any,
) -> WassersteinTraining:
    """Trains a generator against a Wasserstein critic with gradient penalty.

    The critic D minimises mean D(generated) − mean D(truth) + penalty · mean (‖∇D‖ − 1)², where the
    gradient is taken at a random point between each generated and true field. The generator
    minimises content − weight · mean D(generated). Source: Gulrajani et al. 2017, arXiv:1704.00028.

    Args:
        task: Network and records.
        weight: Weight of the critic in the generator's loss.
        penalty: Weight of the gradient penalty.
        critic: Name of a discriminator whose logits are the critic's values, or a mapping with its
            options; ``cwgan`` judges tiles and the whole field, given their conditions.
        critic_steps: Updates of the critic per update of the generator, each with other noise.
        beta_1: Adam's decay of the first moment, for both networks.
        **options: See :func:`phire.downscaling.objectives.supervised.content_arguments`.

    Raises:
        InputError: An option is out of range or does not fit the records.
    """
    if not (weight >= 0 and penalty > 0 and critic_steps >= 1 and 0 <= beta_1 < 1):
        raise InputError(
            f"objective wgan: weight={weight:g} must not be negative, penalty={penalty:g} must be "
            f"positive, critic_steps={critic_steps} must be at least 1, and beta_1={beta_1:g} must "
            "lie between 0 and 1."
        )
    judge = discriminators.build(critic, task.shapes, task.masked)
    return WassersteinTraining(
        task.build_network(),
        judge,
        weight=weight,
        penalty=penalty,
        critic_steps=critic_steps,
        beta_1=beta_1,
        **content_arguments(task, **options),
    )


class WassersteinTraining(Supervised):
    """Objective of a generator with a Wasserstein critic.

    Args:
        generator: Network from the arrays of a sample to fine fields.
        critic: Network from ``fine`` and further arrays to values of any shape, whose mean is D.
        content: Content loss.
        weight: Weight of the critic in the generator's loss.
        penalty: Weight of the gradient penalty.
        critic_steps: Updates of the critic per update of the generator.
        beta_1: Adam's decay of the first moment.
        **options: See :class:`Supervised`.
    """

    def __init__(
        self,
        generator: keras.Model,
        critic: keras.Model,
        content: Loss,
        *,
        weight: float,
        penalty: float,
        critic_steps: int,
        beta_1: float,
        **options: Any,
    ) -> None:
        super().__init__(generator, content, beta_1=beta_1, **options)
        self.critic = critic
        self.weight, self.penalty, self.critic_steps = weight, penalty, critic_steps
        self.networks = {**self.networks, "critic": critic}
        self.optimizers = {**self.optimizers, "critic": self._adam(critic, beta_1)}

    def values(self, fields: tf.Tensor, batch: Batch, training: bool) -> tf.Tensor:
        """Returns the critic's value of each field, (B,)."""
        inputs = {name: batch[name] for name in self.critic.input if name != "fine"}
        values = self.critic({**inputs, "fine": fields}, training=training)
        return tf.reduce_mean(tf.reshape(values, [tf.shape(fields)[0], -1]), 1)

    def gradient_penalty(
        self, truth: tf.Tensor, generated: tf.Tensor, batch: Batch, share: tf.Tensor
    ) -> tf.Tensor:
        """Returns the mean of (‖∇D‖ − 1)² at share · truth + (1 − share) · generated.

        Args:
            truth, generated: Fields, (B, H, W, C).
            batch: Arrays of the samples by name.
            share: Share of the truth in each sample, (B,), between 0 and 1.
        """
        share = tf.reshape(share, [-1] + [1] * (truth.shape.rank - 1))
        between = share * truth + (1 - share) * generated
        with tf.GradientTape() as tape:
            tape.watch(between)
            values = tf.reduce_sum(self.values(between, batch, True))
        gradient = tape.gradient(values, between)
        squares = tf.reduce_sum(tf.square(gradient), list(range(1, gradient.shape.rank)))
        # The gradient of the root is infinite at 0.
        return tf.reduce_mean(tf.square(tf.sqrt(squares + 1e-12) - 1))

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Updates the critic, then the generator; in pretraining, the generator alone."""
        if self._pretraining:
            return super().train_step(batch)
        truth = self.truth(batch)
        for number in range(self.critic_steps):
            scores = self._critic_step(batch, truth, number + 1)
        optimizer = self.optimizers["generator"]
        with tf.GradientTape() as tape:
            generated = self.generate(batch, training=True)
            content = self.content(truth, generated, self.weights(batch))
            loss = content - self.weight * tf.reduce_mean(self.values(generated, batch, True))
            target = scaled(optimizer, loss)
        minimise(tape, target, optimizer, self.generator.trainable_variables)
        return {"loss": loss, "content": content, **scores}

    def _critic_step(self, batch: Batch, truth: tf.Tensor, salt: int) -> Mapping[str, tf.Tensor]:
        """Updates the critic; returns its estimate of the Wasserstein distance, and the penalty."""
        generated = tf.stop_gradient(self.generate(batch, True, salt))
        seed = tf.bitwise.bitwise_xor(self.random_seed(), [1 << 20, salt << 20])
        share = tf.random.stateless_uniform([tf.shape(truth)[0]], seed)
        optimizer = self.optimizers["critic"]
        with tf.GradientTape() as tape:
            false = tf.reduce_mean(self.values(generated, batch, True))
            real = tf.reduce_mean(self.values(truth, batch, True))
            penalty = self.gradient_penalty(truth, generated, batch, share)
            target = scaled(optimizer, false - real + self.penalty * penalty)
        minimise(tape, target, optimizer, self.critic.trainable_variables)
        return {"wasserstein": real - false, "penalty": penalty}

    def validation_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Computes the losses of a validation batch, and the critic's Wasserstein distance."""
        losses = super().validation_step(batch)
        generated = self.generate(batch, training=False)
        real, false = (
            tf.reduce_mean(self.values(x, batch, False)) for x in (self.truth(batch), generated)
        )
        return {**losses, "wasserstein": real - false}
