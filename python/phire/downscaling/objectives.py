"""What trains a generator: its content, then its content and an adversary (SRGAN)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from phire.downscaling.content import Loss
from phire.downscaling.inputs import network_inputs
from phire.errors import InputError
from phire.training import Adam, FurtherStep, Objective, for_float16, reduce_and_apply, scaled
from phire.training.objective import Batch

PRETRAINING = "pretraining"
TOO_STRONG = 0.46
"""Below this discriminator loss the generator takes a second step (PhIRE's rule)."""
TOO_WEAK = 0.6
"""Above this discriminator loss the discriminator takes a second step; 0.693 is chance."""


class SuperResolution(Objective):
    """Content pretraining, then adversarial training with the balancing rule.

    In the phase ``pretraining`` only the generator learns, by the pixel MSE. In every other phase
    each step updates the discriminator, then the generator by
    content + adversarial_weight · sigmoid cross-entropy. Where the discriminator's loss is below
    0.46 the generator takes another step, where it is above 0.6 the discriminator does. The loss
    that decides is that of the step's one shared forward pass, and so are the generated fields that
    the discriminator's second step is of.

    Args:
        generator: Low resolution to high resolution.
        discriminator: High resolution to a logit, each field by itself (no batch normalisation);
            None trains on content alone.
        content: ``content(truth, generated)``, both normalised, a scalar.
        adversarial_weight: Weight of the adversarial part of the generator's loss.
        pretraining_content: What to pretrain on.
        average_decay: Decay of the moving average of the generator's weights, kept as the network
            ``generator_average``; None keeps none.
        validation_scores: Further scalars of (truth, generated) for validation, by name.

    Raises:
        InputError: The discriminator has a batch normalisation.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model | None,
        content: Loss,
        *,
        adversarial_weight: float = 1e-3,
        pretraining_content: Loss,
        average_decay: float | None = None,
        validation_scores: dict[str, Callable[[Any, Any], Any]] | None = None,
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.content = content
        self.pretraining_content = pretraining_content
        self.adversarial_weight = adversarial_weight
        self.validation_scores = validation_scores or {}
        self.networks = {"generator": generator}
        self.optimizers = {"generator": self._adam(generator)}
        if discriminator is not None:
            if any(isinstance(x, keras.layers.BatchNormalization) for x in discriminator.layers):
                raise InputError(
                    f"the discriminator {discriminator.name!r} normalises over its batch, but must "
                    "judge each field by itself: build it without batch normalisation."
                )
            self.networks["discriminator"] = discriminator
            self.optimizers["discriminator"] = self._adam(discriminator)
        self.average_decay = average_decay
        if average_decay is not None:
            self.average = keras.models.clone_model(generator)
            self.average.set_weights(generator.get_weights())
            self.networks["generator_average"] = self.average
        self.exported = tuple(name for name in self.networks)
        self._adversarial = False

    @staticmethod
    def _adam(network: keras.Model) -> keras.optimizers.Optimizer:
        optimizer = for_float16(Adam(1e-4))
        optimizer.build(network.trainable_variables)
        return optimizer

    def begin(self, phase: str) -> None:
        """Pretraining is on content alone; every other phase has the adversary."""
        self._pretraining = phase == PRETRAINING
        self._adversarial = not self._pretraining and self.discriminator is not None

    # Steps

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Updates by one batch of ``low`` and ``high``."""
        return self._adversarial_step(batch) if self._adversarial else self._content_step(batch)

    def _content_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        content = self.pretraining_content if self._pretraining else self.content
        with tf.GradientTape() as tape:
            generated = self.generator(network_inputs(self.generator, batch), training=True)
            loss = content(batch["high"], generated)
            target = scaled(self.optimizers["generator"], loss)
        self._apply("generator", tape, target)
        return {"loss": loss, "content": loss}

    def _adversarial_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        high = batch["high"]
        discriminator, generator = (self.optimizers[n] for n in ("discriminator", "generator"))
        # One forward pass of each network serves both updates: the generator's gradient is taken
        # through the discriminator as it was before its own update.
        with tf.GradientTape() as generator_tape:
            generated = self.generator(network_inputs(self.generator, batch), training=True)
            content = self.content(high, generated)
            scaled_content = scaled(generator, content)
        with tf.GradientTape(persistent=True) as discriminator_tape:
            fields = _together(high, generated)
            discriminator_tape.watch(fields)
            logits = self.discriminator({"fine": fields}, training=True)
        with tf.GradientTape(persistent=True) as loss_tape:
            loss_tape.watch(logits)
            real_logits, false_logits = tf.split(logits, 2)
            discriminator_loss = _discriminator_loss(real_logits, false_logits)
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
            "loss": content + self.adversarial_weight * adversarial,
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
        """The balancing rule, by which who is behind takes another step; then the average."""
        steps = []
        if self._adversarial:
            steps += [
                FurtherStep(lambda x: x["discriminator"] < TOO_STRONG, self._generator_again),
                FurtherStep(lambda x: x["discriminator"] > TOO_WEAK, self._discriminator_again),
            ]
        if self.average_decay is not None:
            steps.append(FurtherStep(lambda x: tf.constant(True), lambda batch: self._average()))
        return steps

    def _generator_again(self, batch: Batch) -> None:
        with tf.GradientTape() as tape:
            generated = self.generator(network_inputs(self.generator, batch), training=True)
            logits = self.discriminator({"fine": generated}, training=True)
            loss = self.content(batch["high"], generated)
            loss += self.adversarial_weight * _cross_entropy(tf.ones_like(logits), logits)
            target = scaled(self.optimizers["generator"], loss)
        self._apply("generator", tape, target)

    def _discriminator_again(self, batch: Batch) -> None:
        with tf.GradientTape() as tape:
            loss = _discriminator_loss(*self._judge(batch["high"], batch["generated"]))
            target = scaled(self.optimizers["discriminator"], loss)
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

        A logit is of one field alone, so the way back is one factor a field times the same
        gradient: it is gone once, with the discriminator's factors, and the fields' part is then
        multiplied by the quotient of both.

        Args:
            tape: Persistent; recorded ``logits`` of ``fields``.
            logits: (B, 1).
            fields: (B, H, W, C).
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
        return gradients, through * tf.reshape(quotients, [-1, 1, 1, 1])

    def _judge(self, high: tf.Tensor, generated: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits of the true and of the generated fields, in one pass."""
        logits = self.discriminator({"fine": _together(high, generated)}, training=True)
        real, false = tf.split(logits, 2)
        return real, false

    def _apply(self, name: str, tape: tf.GradientTape, target: tf.Tensor) -> None:
        variables = self.networks[name].trainable_variables
        gradients = tape.gradient(target, [variable.value for variable in variables])
        reduce_and_apply(self.optimizers[name], gradients, variables)

    def _average(self) -> None:
        for kept, now in zip(self.average.weights, self.generator.weights):
            kept.assign(self.average_decay * kept.value + (1 - self.average_decay) * now.value)

    def validation_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Losses of a held-out batch; nothing is updated."""
        high = batch["high"]
        generated = self.generator(network_inputs(self.generator, batch), training=False)
        pixel = tf.reduce_mean(tf.square(generated - high))
        if not self._adversarial:
            content = self.pretraining_content if self._pretraining else self.content
            scalars = {"loss": content(high, generated), "mse": pixel}
        else:
            real, false = self._judge(high, generated)
            content = self.content(high, generated)
            adversarial = _cross_entropy(tf.ones_like(false), false)
            scalars = {
                "loss": content + self.adversarial_weight * adversarial,
                "mse": pixel,
                "content": content,
                "adversarial": adversarial,
                "discriminator": _discriminator_loss(real, false),
                "true_positive": _share(real > 0),
                "false_positive": _share(false > 0),
            }
        for name, score in self.validation_scores.items():
            scalars[name] = score(high, generated)
        return scalars

    def panels(self, batch: Batch, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Low resolution, generated and true, side by side, of the first channel."""
        batch = {name: value[:4] for name, value in batch.items()}
        low, high = batch["low"], batch["high"]
        generated = self.generator(network_inputs(self.generator, batch), training=False)
        size = high.shape[1:3]
        nearest = tf.image.resize(low, size, method="nearest")
        strip = tf.concat([nearest, generated, high], axis=2)[..., :1].numpy()
        # Fixed by the truth, so that the panels of all epochs compare.
        least, most = np.percentile(high[..., 0], [1, 99])
        return {"low, generated, true": np.clip((strip - least) / (most - least), 0, 1)}


def _together(high: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """The true and the generated fields as one batch."""
    return tf.concat([tf.cast(high, generated.dtype), generated], 0)


def _cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))


def _discriminator_loss(real: tf.Tensor, false: tf.Tensor) -> tf.Tensor:
    """The mean over real and generated fields: 0.693 at chance."""
    return 0.5 * (
        _cross_entropy(tf.ones_like(real), real) + _cross_entropy(tf.zeros_like(false), false)
    )


def _share(condition: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(condition, tf.float32))
