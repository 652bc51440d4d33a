"""SRGAN: a content loss and a balanced adversary (Ledig et al. 2017; Stengel et al. 2020)."""

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
from phire.parts import options_of
from phire.training import FurtherStep, minimise, reduce_and_apply, scaled
from phire.training.objective import Batch
from phire.training.registry import objective

TOO_STRONG = 0.46
"""Below this discriminator loss the generator takes a second step (PhIRE's rule)."""
TOO_WEAK = 0.6
"""Above this discriminator loss the discriminator takes a second step; 0.693 is chance."""


@objective("srgan", pretrain_epochs=5)
@options_of(content_arguments)
def srgan_objective(
    task: Task,
    *,
    weight: float = 1e-3,
    discriminator: str | None = None,
    **options: Any,
) -> SuperResolution:
    """Trains on a content loss and an adversary, after a pretraining on the pixel MSE.

    The defaults are PhIRE's.

    Args:
        task: Network and records.
        weight: Weight of the adversarial loss.
        discriminator: ``NAME``, or a mapping with its options; by default the one of the network's
            name, or srgan.
        **options: See :func:`phire.downscaling.objectives.supervised.content_arguments`.

    Raises:
        InputError: The weight is not positive, or something does not fit the records.
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
    """Content pretraining, then adversarial training with the balancing rule.

    In the phase ``pretraining`` only the generator learns, by the pixel MSE. In every other phase
    each step updates the discriminator, then the generator by content_weight · content +
    adversarial_weight · adversarial loss, both by the gradients of one shared forward pass. Where
    ``balanced`` and the discriminator's loss is below 0.46 the generator takes another step, where
    it is above 0.6 the discriminator does. The loss that decides is that of the step's shared
    forward pass, and so are the generated fields that the discriminator's second step is of.

    Args:
        generator: Network of named inputs to the fine field.
        discriminator: Network of ``fine`` (and ``valid``, and what else of the sample it names) to
            a logit, each field by itself (no batch normalisation).
        content: As for :class:`Supervised`.
        adversarial_weight: Weight of the adversarial part of the generator's loss.
        content_weight: Weight of the content in it.
        discriminator_weight: Weight of the sum of the cross-entropies of true and of generated
            fields in the discriminator's loss; 0.5 is their mean, 0.693 at chance.
        balanced: Take second steps.
        beta_1: Adam's decay of the first moment, in both optimizers.
        **options: See :class:`Supervised`.

    Raises:
        InputError: The discriminator has a batch normalisation.
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
                f"the discriminator {discriminator.name!r} normalises over its batch, but must "
                "judge each field by itself: build it without batch normalisation."
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
        """Updates the networks by one batch."""
        return super().train_step(batch) if self._pretraining else self._adversarial_step(batch)

    def _adversarial_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        high, weights = self.truth(batch), self.weights(batch)
        discriminator, generator = (self.optimizers[n] for n in ("discriminator", "generator"))
        # One forward pass of each network serves both updates: the generator's gradient is taken
        # through the discriminator as it was before its own update.
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
        """Second steps that keep both networks balanced (PhIRE's rule)."""
        if self._pretraining or not self.balanced:
            return []
        return [
            FurtherStep(lambda x: x["discriminator"] < TOO_STRONG, self._generator_again),
            FurtherStep(lambda x: x["discriminator"] > TOO_WEAK, self._discriminator_again),
        ]

    def _generator_again(self, batch: Batch) -> None:
        with tf.GradientTape() as tape:
            generated = self.generate(batch, training=True, salt=1)
            logits = self._logits(generated, batch, 1)
            content = self.content(self.truth(batch), generated, self.weights(batch))
            loss = self._generator_loss(content, _cross_entropy(tf.ones_like(logits), logits))
            target = scaled(self.optimizers["generator"], loss)
        self._apply("generator", tape, target)

    def _discriminator_again(self, batch: Batch) -> None:
        with tf.GradientTape() as tape:
            logits = self._judge(self.truth(batch), batch["generated"], batch, training=True)
            target = scaled(self.optimizers["discriminator"], self._discriminator_loss(*logits))
        self._apply("discriminator", tape, target)

    def _back_through_discriminator(
        self,
        tape: tf.GradientTape,
        logits: tf.Tensor,
        fields: tf.Tensor,
        of_discriminator: tf.Tensor,
        of_generator: tf.Tensor,
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Gradients of one loss by the discriminator's variables, and of another by the fields.

        A logit depends on one field alone, so that both gradients through the discriminator differ
        by one factor per field: one backward pass serves both. It is taken with the
        discriminator's factors; the fields' part is multiplied by the quotient of both.

        Args:
            tape: Persistent; recorded ``logits`` of ``fields``.
            logits: (B, 1).
            fields: (B, H, W, C), with a window (B, T, H, W, C).
            of_discriminator: Gradient (B, 1) by the logits of the loss for the variables.
            of_generator: Gradient (B, 1) by the logits of the loss for the fields.
        """
        variables = [variable.value for variable in self.discriminator.trainable_variables]
        if self.discriminator.compute_dtype == "float16":
            # Its range is too small for what goes back where the discriminator is sure.
            gradients = tape.gradient(logits, variables, output_gradients=of_discriminator)
            return gradients, tape.gradient(logits, fields, output_gradients=of_generator)
        # So far below what any step can see that only the quotient needs it.
        factors = tf.where(tf.abs(of_discriminator) < 1e-20, 1e-20, of_discriminator)
        *gradients, through = tape.gradient(logits, [*variables, fields], output_gradients=factors)
        quotients = tf.cast(of_generator / factors, through.dtype)
        return gradients, through * tf.reshape(quotients, [-1] + [1] * (fields.shape.rank - 1))

    def _generator_loss(self, content: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
        return self.content_weight * content + self.adversarial_weight * adversarial

    def _discriminator_loss(self, real: tf.Tensor, false: tf.Tensor) -> tf.Tensor:
        return self.discriminator_weight * (
            _cross_entropy(tf.ones_like(real), real) + _cross_entropy(tf.zeros_like(false), false)
        )

    def _logits(
        self, fields: tf.Tensor, batch: Batch, copies: int, training: bool = True
    ) -> tf.Tensor:
        """Logits of fields (copies·B, …, H, W, C); the batch's other arrays are repeated."""
        inputs = {"fine": fields}
        for name in self.discriminator.input:
            if name != "fine":
                inputs[name] = tf.concat([tf.cast(batch[name], fields.dtype)] * copies, 0)
        return self.discriminator(inputs, training=training)

    def _judge(
        self, high: tf.Tensor, generated: tf.Tensor, batch: Batch, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits of the true and of the generated fields, in one pass."""
        logits = self._logits(_together(high, generated), batch, 2, training)
        real, false = tf.split(logits, 2)
        return real, false

    def _apply(self, name: str, tape: tf.GradientTape, target: tf.Tensor) -> None:
        minimise(tape, target, self.optimizers[name], self.networks[name].trainable_variables)

    def validation_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Losses of a held-out batch; nothing is updated."""
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
    """Returns the true and the generated fields as one batch."""
    return tf.concat([tf.cast(high, generated.dtype), generated], 0)


def _cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))


def _share(condition: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(condition, tf.float32))
