"""Last layer of every generator and denoiser: float32 output that states the halo."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="phire")
class Fine(keras.layers.Layer):
    """Identity named ``fine`` that casts to float32 and carries the network's halo.

    The halo is saved with the layer, so that a network read from a file still states it.

    Args:
        halo: Coarse points, beyond the one it lies in, that an output point depends on along each
            axis; None where every output depends on the whole field.
    """

    def __init__(self, halo: int | None, name: str = "fine", **kwargs: Any) -> None:
        super().__init__(name=name, **{**kwargs, "dtype": "float32"})
        self.halo = halo

    def call(self, inputs: Any) -> Any:
        """Casts a tensor of any shape to float32."""
        return ops.cast(inputs, "float32")

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "halo": self.halo}


def halo_of(model: keras.Model) -> int | None:
    """Returns the halo that a network declares, in coarse points.

    Raises:
        ValueError: The network has no layer :class:`Fine`.
    """
    for layer in model.layers:
        if isinstance(layer, Fine):
            return layer.halo
    raise ValueError(f"the network {model.name} declares no halo")
