"""DL4DS's mixtures of structural dissimilarity (DSSIM) with MAE and MSE, under its names."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from phire.downscaling.contents.pointwise import mae as absolute_error
from phire.downscaling.contents.pointwise import mse as squared_error
from phire.downscaling.contents.registry import Loss, content
from phire.downscaling.contents.structural import dssim_loss, multiscale_dssim_loss
from phire.downscaling.generator_task import Task


@content("dssim_mae", dssim=0.8, mae=0.2)
@content("dssim_mse", dssim=0.8, mse=0.2)
@content("dssim_mae_mse", dssim=0.6, mae=0.2, mse=0.2)
@content("msdssim_mae", msdssim=0.8, mae=0.2)
@content("msdssim_mae_mse", msdssim=0.6, mae=0.2, mse=0.2)
def structural_mixture(
    task: Task,
    *,
    dssim: float = 0.0,
    msdssim: float = 0.0,
    mae: float = 0.0,
    mse: float = 0.0,
    size: int = 11,
    levels: int = 4,
    preset: str = "none",
) -> Loss:
    """Weighted sum of DSSIM or MS-DSSIM with MAE and MSE, with the weights of DL4DS.

    Args:
        task: Network and records.
        dssim, msdssim, mae, mse: Weights of the losses; losses of weight 0 are left out.
        size, preset: See the content ``dssim``.
        levels: See the content ``msdssim``.

    Raises:
        InputError: As for the contents ``dssim`` and ``msdssim``.
    """
    losses = [(mae, absolute_error), (mse, squared_error)]
    if dssim:
        losses.append((dssim, dssim_loss(task, size=size, preset=preset)))
    if msdssim:
        losses.append(
            (msdssim, multiscale_dssim_loss(task, size=size, levels=levels, preset=preset))
        )

    def mixture(truth: tf.Tensor, generated: tf.Tensor, weights: Any = None) -> tf.Tensor:
        parts = [weight * loss(truth, generated, weights) for weight, loss in losses if weight]
        return tf.add_n([tf.cast(part, tf.float32) for part in parts])

    return mixture
