"""SRGAN objective: content loss and a balanced discriminator.

Sources: Ledig et al. 2017, arXiv:1609.04802; Stengel et al. 2020 (PhIRE),
doi:10.1073/pnas.1918964117.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from phire.downscaling.contents.pointwise import mse
from phire.downscaling.contents.registry import Loss
from phire.downscaling.generator_task import Task
from phire.downscaling.objectives.supervised import Supervised, content_arguments
from phire.errors import InputError
from phire.networks import discriminator as discriminators
from phire.part_registry import options_of
from phire.training import FurtherStep, minimise, reduce_and_apply, scaled
from phire.training.objective import Batch
from phire.training.registry import objective

TOO_STRONG = 0.46
"""Discriminator loss below which the generator takes a second step (PhIRE's rule)."""
TOO_WEAK = 0.6
"""Discriminator loss above which the discriminator takes a second step; guessing gives 0.693."""


@objective("srgan", pretrain_epochs=5)
@options_of(content_arguments)
def srgan_objective(
    task: Task,
    *,
    weight: float = 1e-3,
    discriminator: str | None = None,
    **options: Any,
) -> SuperResolution:
    """Builds the SRGAN objective: pretraining by the MSE, then content and adversarial loss.

    The defaults are PhIRE's (Stengel et al. 2020, doi:10.1073/pnas.1918964117).

    Args:
        task: Network and records.
        weight: Weight of the adversarial loss.
        discriminator: Name of the discriminator, or a mapping with its options; None for the one
            with the network's name or, if there is none, ``srgan``.
        **options: See :func:`phire.downscaling.objectives.supervised.content_arguments`.

    Raises:
        InputError: ``weight`` is not positive, or an option does not fit the records.
    """
    if not weight > 0:
        raise InputError(
            f"objective srgan: weight={weight} must be positive; to train without an adversary, "
            "choose the objective content."
        )
    if discriminator is None:
        discriminator = task.network if task.network in discriminators.parts() else "srgan"
    return SuperResolution(
        task.build_network(),
        discriminators.build(discriminator, task.shapes, task.masked),
        adversarial_weight=weight,
        **content_arguments(task, **options),
    )


class SuperResolution(Supervised):
    """Adversarial objective with a balancing rule, and pretraining of the generator.

    The phase ``pretraining`` trains the generator alone, on the pixel MSE. In all other phases each
    step updates both networks by the gradients of one shared forward pass. The generator's loss is
    content_weight · content + adversarial_weight · adversarial loss.

    With ``balanced``, the generator takes a second step if the discriminator's loss is below 0.46,
    and the discriminator takes one if its loss is above 0.6. That loss, and the generated fields in
    the discriminator's second step, are those of the shared forward pass.

    Args:
        generator: Network from the arrays of a sample to fine fields.
        discriminator: Network from ``fine``, and other arrays of a sample, to a logit. It must
            judge each field by itself, so it must not have batch normalization.
        content: Content loss.
        adversarial_weight: Weight of the adversarial loss in the generator's loss.
        content_weight: Weight of the content loss in the generator's loss.
        discriminator_weight: Factor of the discriminator's loss, the sum of the cross-entropies of
            true and generated fields; with 0.5 a guessing discriminator has the loss 0.693.
        balanced: Take second steps.
        beta_1: Adam's decay of the first moment, for both networks.
        **options: See :class:`Supervised`.

    Raises:
        InputError: The discriminator has batch normalization.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        content: Loss,
        *,
        adversarial_weight: float = 1e-3,
        content_weight: float = 1.0,
        discriminator_weight: float = 0.5,
        balanced: bool = True,
        beta_1: float = 0.9,
        **options: Any,
    ) -> None:
        super().__init__(generator, content, beta_1=beta_1, **options)
        if any(isinstance(x, keras.layers.BatchNormalization) for x in discriminator.layers):
            raise InputError(
                f"the discriminator {discriminator.name!r} has batch normalization, but must judge "
                "each field by itself: build it without."
            )
        self.discriminator = discriminator
        self.adversarial_weight = adversarial_weight
        self.content_weight = content_weight
        self.discriminator_weight = discriminator_weight
        self.balanced = balanced
        self.networks["discriminator"] = discriminator
        self.optimizers["discriminator"] = self._adam(discriminator, beta_1)
        self.exported = ("generator", "discriminator")

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Updates both networks by one batch; in pretraining, the generator alone."""
        return super().train_step(batch) if self._pretraining else self._adversarial_step(batch)

    def _adversarial_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Updates both networks; returns losses, classification rates and the generated fields."""
        high, weights = self.truth(batch), self.weights(batch)
        discriminator, generator = (self.optimizers[n] for n in ("discriminator", "generator"))
        # One forward pass of each network serves both updates, so the generator's gradient passes
        # through the discriminator before its update.
        with tf.GradientTape() as generator_tape:
            generated = self.generate(batch, training=True)
            content = self.content(high, generated, weights)
            scaled_content = scaled(generator, self.content_weight * content)
        with tf.GradientTape(persistent=True) as discriminator_tape:
            fields = _together(high, generated)
            discriminator_tape.watch(fields)
            logits = self._logits(fields, batch, 2)
        with tf.GradientTape(persistent=True) as loss_tape:
            loss_tape.watch(logits)
            real_logits, false_logits = tf.split(logits, 2)
            discriminator_loss = self._discriminator_loss(real_logits, false_logits)
            adversarial = _cross_entropy(tf.ones_like(false_logits), false_logits)
            scaled_discriminator = scaled(discriminator, discriminator_loss)
            scaled_adversarial = scaled(generator, self.adversarial_weight * adversarial)
        gradients, through = self._back_through_discriminator(
            discriminator_tape,
            logits,
            fields,
            loss_tape.gradient(scaled_discriminator, logits),
            loss_tape.gradient(scaled_adversarial, logits),
        )
        del discriminator_tape, loss_tape
        variables = self.generator.trainable_variables
        generator_gradients = generator_tape.gradient(
            [scaled_content, generated],
            [variable.value for variable in variables],
            output_gradients=[tf.ones_like(scaled_content), tf.split(through, 2)[1]],
        )
        reduce_and_apply(discriminator, gradients, self.discriminator.trainable_variables)
        reduce_and_apply(generator, generator_gradients, variables)
        real, false = real_logits > 0, false_logits > 0
        return {
            "loss": self._generator_loss(content, adversarial),
            "content": content,
            "adversarial": adversarial,
            "discriminator": discriminator_loss,
            "true_positive": _share(real),
            "false_negative": _share(~real),
            "false_positive": _share(false),
            "true_negative": _share(~false),
            "generated": generated,
        }

    def further_steps(self) -> list[FurtherStep]:
        """Returns the second steps that keep both networks balanced (PhIRE's rule)."""
        if self._pretraining or not self.balanced:
            return []
        return [
            FurtherStep(lambda x: x["discriminator"] < TOO_STRONG, self._generator_again),
            FurtherStep(lambda x: x["discriminator"] > TOO_WEAK, self._discriminator_again),
        ]

    def _generator_again(self, batch: Batch) -> None:
        """Updates the generator a second time, with other random inputs."""
        with tf.GradientTape() as tape:
            generated = self.generate(batch, training=True, salt=1)
            logits = self._logits(generated, batch, 1)
            content = self.content(self.truth(batch), generated, self.weights(batch))
            loss = self._generator_loss(content, _cross_entropy(tf.ones_like(logits), logits))
            target = scaled(self.optimizers["generator"], loss)
        self._apply("generator", tape, target)

    def _discriminator_again(self, batch: Batch) -> None:
        """Updates the discriminator a second time, on the fields that were generated before."""
        with tf.GradientTape() as tape:
            logits = self._judge(self.truth(batch), batch["generated"], batch, training=True)
            target = scaled(self.optimizers["discriminator"], self._discriminator_loss(*logits))
        self._apply("discriminator", tape, target)

    def _back_through_discriminator(
        self,
        tape: tf.GradientTape,
        logits: tf.Tensor,
        fields: tf.Tensor,
        discriminator_gradient: tf.Tensor,
        generator_gradient: tf.Tensor,
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Computes the gradients of both losses through the discriminator in one backward pass.

        A logit depends on one field alone, so both gradients differ by one factor per field. The
        backward pass uses the discriminator's factors, and the gradient with respect to the fields
        is then multiplied by the ratio of the two factors.

        Args:
            tape: Persistent tape that recorded ``logits`` as a function of ``fields``.
            logits: Logits of the fields, (B, 1).
            fields: Fields, (B, H, W, C) or, with a time window, (B, T, H, W, C).
            discriminator_gradient: Gradient of the discriminator's loss with respect to the logits,
                (B, 1).
            generator_gradient: Gradient of the generator's loss with respect to the logits, (B, 1).

        Returns:
            Gradients of the discriminator's loss with respect to its variables, and the gradient of
            the generator's loss with respect to the fields.
        """
        variables = [variable.value for variable in self.discriminator.trainable_variables]
        if self.discriminator.compute_dtype == "float16":
            # Where the discriminator is certain, its gradient underflows in float16 and cannot be
            # rescaled to the generator's, as is done below. Two backward passes avoid this.
            gradients = tape.gradient(logits, variables, output_gradients=discriminator_gradient)
            return gradients, tape.gradient(logits, fields, output_gradients=generator_gradient)
        # Avoids a division by 0; a gradient of 1e-20 is too small to change any weight.
        tiny = tf.abs(discriminator_gradient) < 1e-20
        factors = tf.where(tiny, 1e-20, discriminator_gradient)
        *gradients, through = tape.gradient(logits, [*variables, fields], output_gradients=factors)
        ratios = tf.cast(generator_gradient / factors, through.dtype)
        return gradients, through * tf.reshape(ratios, [-1] + [1] * (fields.shape.rank - 1))

    def _generator_loss(self, content: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
        return self.content_weight * content + self.adversarial_weight * adversarial

    def _discriminator_loss(self, real: tf.Tensor, false: tf.Tensor) -> tf.Tensor:
        """Returns the discriminator's loss from its logits of true and generated fields."""
        return self.discriminator_weight * (
            _cross_entropy(tf.ones_like(real), real) + _cross_entropy(tf.zeros_like(false), false)
        )

    def _logits(
        self, fields: tf.Tensor, batch: Batch, copies: int, training: bool = True
    ) -> tf.Tensor:
        """Returns the discriminator's logits of fields.

        Args:
            fields: Fields, (copies·B, …, H, W, C).
            batch: Arrays of B samples, which are repeated ``copies`` times.
            copies: Number of fields for each sample.
            training: True to run layers in training mode.
        """
        inputs = {"fine": fields}
        for name in self.discriminator.input:
            if name != "fine":
                inputs[name] = tf.concat([tf.cast(batch[name], fields.dtype)] * copies, 0)
        return self.discriminator(inputs, training=training)

    def _judge(
        self, high: tf.Tensor, generated: tf.Tensor, batch: Batch, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the logits of true and of generated fields, from one pass."""
        logits = self._logits(_together(high, generated), batch, 2, training)
        real, false = tf.split(logits, 2)
        return real, false

    def _apply(self, name: str, tape: tf.GradientTape, target: tf.Tensor) -> None:
        """Updates the network of this name by the gradient of a loss."""
        minimise(tape, target, self.optimizers[name], self.networks[name].trainable_variables)

    def validation_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Computes the losses and scores of a validation batch."""
        if self._pretraining:
            return super().validation_step(batch)
        high, generated = self.truth(batch), self.generate(batch, training=False)
        weights = self.weights(batch)
        real, false = self._judge(high, generated, batch, training=False)
        content = self.content(high, generated, weights)
        adversarial = _cross_entropy(tf.ones_like(false), false)
        return {
            "loss": self._generator_loss(content, adversarial),
            "mse": mse(high, generated, weights),
            "content": content,
            "adversarial": adversarial,
            "discriminator": self._discriminator_loss(real, false),
            "true_positive": _share(real > 0),
            "false_positive": _share(false > 0),
            **self.scores(high, generated),
        }


def _together(high: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """Returns true and generated fields as one batch, true ones first."""
    return tf.concat([tf.cast(high, generated.dtype), generated], 0)


def _cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns the mean cross-entropy of logits with labels of 0 or 1."""
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))


def _share(condition: tf.Tensor) -> tf.Tensor:
    """Returns the fraction of values for which a condition holds."""
    return tf.reduce_mean(tf.cast(condition, tf.float32))
