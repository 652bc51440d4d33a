"""VQ-VAE objective: autoencoder of fine fields with a vector-quantized latent space."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from phire.downscaling.contents.registry import Loss
from phire.downscaling.generator_task import Task
from phire.downscaling.objectives.supervised import Supervised, content_and_scores
from phire.errors import InputError
from phire.networks import network as networks
from phire.networks.vqvae_autoencoder import straight_through
from phire.training import minimise, scaled
from phire.training.objective import Batch
from phire.training.registry import objective


@objective("vqvae")
def vqvae_objective(
    task: Task,
    *,
    content: str = "mse",
    commitment: float = 0.25,
    codebook: float | None = None,
    decay: float = 0.99,
    restart: float = 0.01,
) -> VectorQuantisedTraining:
    """Trains an autoencoder of the targets; diffusion objectives can use it as ``latent=RUN``.

    The loss is content + commitment · mean ‖z − sg(e)‖², where z is the encoder's output, e the
    nearest code vector and sg stops gradients. The decoder's gradient passes straight through the
    quantization to z. Each code vector follows an EMA of the z assigned to it. Source: van den Oord
    et al. 2017, arXiv:1711.00937, and its appendix on the EMA.

    ``usage`` in the log is the fraction of codes that a batch uses, ``perplexity`` the exponential
    of the entropy of the codes.

    Args:
        task: Network ``vqvae`` and records.
        content: See the objective ``content``.
        commitment: Weight of the commitment loss.
        codebook: Weight of the codebook loss mean ‖sg(z) − e‖², which trains the codes by gradients
            in place of the EMA; None for the EMA. DeepR has commitment=1, codebook=0.25.
        decay: Decay of the EMA of codes.
        restart: With the EMA, codes used less than this fraction of the average are reset to a
            random z of the batch; 0 to never reset.

    Raises:
        InputError: An option is out of range, or the network is no autoencoder.
    """
    if "code_width" not in networks.part(task.network).options:
        raise InputError(
            f"objective vqvae needs an autoencoder, which {task.network} is not: choose "
            "--network vqvae."
        )
    if task.conserve:
        raise InputError(
            "--conserve applies to generators that read a coarse field, not to the objective "
            "vqvae: leave it out."
        )
    if not (commitment >= 0 and (codebook is None or codebook > 0)):
        raise InputError(
            f"objective vqvae: commitment={commitment:g} must not be negative, and "
            f"codebook={codebook} must be positive."
        )
    if not (0 < decay < 1 and 0 <= restart < 1):
        raise InputError(
            f"objective vqvae: decay={decay:g} must lie between 0 and 1, and restart={restart:g} "
            "must lie in [0, 1)."
        )
    loss, scores = content_and_scores(task, content, None)
    return VectorQuantisedTraining(
        task.build_network(autoencoder=True), loss, commitment=commitment, codebook=codebook,
        decay=decay, restart=restart, validation_scores=scores, margin=task.shapes.margin,
    )  # fmt: skip


def moved_codes(
    codes: tf.Tensor, counts: tf.Tensor, number: tf.Tensor, sums: tf.Tensor, decay: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the codes and their counts after one update of the EMA.

    The update is N ← γN + (1 − γ)n, m ← γm + (1 − γ)s, e ← m/N. The old m equals N·e, so only e and
    N are stored. Codes that were never used stay as they are.

    Args:
        codes: Code vectors e, (K, width).
        counts: Averaged numbers N of values assigned to each code, (K,).
        number: Numbers n of values assigned in this step, (K,).
        sums: Sums s of these values, (K, width).
        decay: Decay γ.
    """
    moved = decay * counts + (1 - decay) * number
    total = decay * (counts[:, None] * codes) + (1 - decay) * sums
    mean = tf.math.divide_no_nan(total, moved[:, None])
    return tf.where(moved[:, None] > 0, mean, codes), moved


class VectorQuantisedTraining(Supervised):
    """Objective of a VQ-VAE; its codebook is trained by an EMA or by a loss.

    Args:
        autoencoder: Network of ``high`` with the layers ``encoder``, ``codebook``, ``decoder``.
        content: Content loss between fields and their reconstructions.
        commitment, codebook, decay, restart: See :func:`vqvae_objective`.
        **options: See :class:`Supervised`.
    """

    def __init__(
        self, autoencoder: keras.Model, content: Loss, *, commitment: float,
        codebook: float | None, decay: float, restart: float, **options: Any,
    ) -> None:  # fmt: skip
        self.encoder, self.codebook, self.decoder = (
            autoencoder.get_layer(name) for name in ("encoder", "codebook", "decoder")
        )
        self.codebook.trainable = codebook is not None  # the EMA bypasses the optimizer
        super().__init__(autoencoder, content, **options)
        self.weight_of = {"commitment": commitment, "codebook": codebook or 0.0}
        self.by_gradient = codebook is not None
        self.decay, self.restart = decay, restart

    def outputs(self, batch: Batch, training: bool, salt: int = 0) -> tf.Tensor:
        """Returns the reconstructions of the true fields."""
        return self.generator({"high": self.truth(batch)}, training=training)

    def encoded(self, batch: Batch, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the encoder's output z, (B, h, w, width) float32, and its code indices."""
        latent = tf.cast(self.encoder(self.truth(batch), training=training), tf.float32)
        return latent, self.codebook.nearest(latent)

    def losses(
        self, batch: Batch, latent: tf.Tensor, indices: tf.Tensor, training: bool
    ) -> dict[str, tf.Tensor]:
        """Returns the total ``loss`` and its parts by name.

        Args:
            batch: Arrays of the samples by name.
            latent: Encoder's output z.
            indices: Indices of the nearest codes.
            training: True to run layers in training mode.
        """
        codes, truth = self.codebook.code(indices), self.truth(batch)
        fine = self.decoder(straight_through(latent, codes), training=training)
        fine = tf.cast(fine, tf.float32)[:, : tf.shape(truth)[1], : tf.shape(truth)[2]]
        if "valid" in batch:
            fine = tf.where(tf.cast(batch["valid"], tf.bool), fine, 0)
        losses = {
            "content": self.content(truth, fine, self.weights(batch)),
            "commitment": tf.reduce_mean(tf.square(latent - tf.stop_gradient(codes))),
        }
        if self.by_gradient:
            losses["codebook"] = tf.reduce_mean(tf.square(tf.stop_gradient(latent) - codes))
        weighted = [self.weight_of.get(name, 1.0) * value for name, value in losses.items()]
        return {"loss": tf.add_n(weighted), **losses}

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Updates encoder and decoder by one batch, then the codes."""
        optimizer = self.optimizers["generator"]
        with tf.GradientTape() as tape:
            latent, indices = self.encoded(batch, training=True)
            losses = self.losses(batch, latent, indices, training=True)
            target = scaled(optimizer, losses["loss"])
        minimise(tape, target, optimizer, self.generator.trainable_variables)
        if not self.by_gradient:
            self._move_codes(latent, indices)
        return {**losses, **self.use_of_codes(indices)}

    def validation_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Computes the losses and scores of a validation batch, and its use of the codes."""
        latent, indices = self.encoded(batch, training=False)
        losses = self.losses(batch, latent, indices, training=False)
        scores = self.scores(self.truth(batch), self.generate(batch, training=False))
        return {**losses, **scores, **self.use_of_codes(indices)}

    def use_of_codes(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns ``usage`` and ``perplexity`` of a batch's codes; see :func:`vqvae_objective`."""
        number = tf.math.bincount(
            tf.reshape(tf.cast(indices, tf.int32), [-1]), minlength=self.codebook.codes,
            dtype=tf.float32,
        )  # fmt: skip
        share = number / tf.reduce_sum(number)
        return {
            "usage": tf.reduce_mean(tf.cast(number > 0, tf.float32)),
            "perplexity": tf.exp(-tf.reduce_sum(tf.math.xlogy(share, share))),
        }

    def _move_codes(self, latent: tf.Tensor, indices: tf.Tensor) -> None:
        """Updates the codes by the EMA, and resets rarely used codes."""
        book, width = self.codebook, self.codebook.width
        values = tf.reshape(latent, (-1, width))
        chosen = tf.one_hot(tf.reshape(indices, [-1]), book.codes)
        seed = tf.bitwise.bitwise_xor(self.random_seed(), [0, 1 << 20])
        drawn = tf.random.stateless_uniform(
            [book.codes], seed, maxval=tf.shape(values)[0], dtype=tf.int32
        )
        replica = tf.distribute.get_replica_context()
        # All replicas must reset a code to the same value, which the first replica draws.
        first = tf.cast(tf.equal(replica.replica_id_in_sync_group, 0), tf.float32)
        number, sums, fresh = replica.all_reduce(
            tf.distribute.ReduceOp.SUM,
            [
                tf.reduce_sum(chosen, 0),
                tf.matmul(chosen, values, transpose_a=True),
                first * tf.gather(values, drawn),
            ],
        )
        codes, counts = moved_codes(
            tf.convert_to_tensor(book.embeddings), tf.convert_to_tensor(book.counts), number, sums,
            self.decay,
        )  # fmt: skip
        threshold = self.restart * tf.reduce_mean(counts)
        rare = counts < threshold
        book.embeddings.assign(tf.where(rare[:, None], fresh, codes))
        book.counts.assign(tf.where(rare, threshold, counts))
