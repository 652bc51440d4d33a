"""Last layer of every generator and denoiser: float32 output that states how it is used."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="phire")
class Fine(keras.layers.Layer):
    """Identity named ``fine`` that casts to float32 and carries what prediction must know.

    It is saved with the layer, so that a network read from a file still states it.

    Args:
        halo: Coarse points, beyond the one it lies in, that an output point depends on along each
            axis; None where every output depends on the whole field.
        first_step: With a window, a field is predicted as the first step of the window that begins
            at it, as DL4DS does; else as the last step of the window that ends at it.
    """

    def __init__(
        self, halo: int | None, first_step: bool = False, name: str = "fine", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **{**kwargs, "dtype": "float32"})
        self.halo = halo
        self.first_step = first_step

    def call(self, inputs: Any) -> Any:
        """Casts a tensor of any shape to float32."""
        return ops.cast(inputs, "float32")

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "halo": self.halo, "first_step": self.first_step}


def fine_layer_of(model: keras.Model) -> Fine:
    """Returns the layer :class:`Fine` of a network.

    Raises:
        ValueError: The network has none.
    """
    for layer in model.layers:
        if isinstance(layer, Fine):
            return layer
    raise ValueError(f"the network {model.name} declares no halo")


def halo_of(model: keras.Model) -> int | None:
    """Returns the halo that a network declares, in coarse points.

    Raises:
        ValueError: The network has no layer :class:`Fine`.
    """
    return fine_layer_of(model).halo
