"""Output layer of every generator and denoiser, which states the halo and the predicted step."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="phire")
class Fine(keras.layers.Layer):
    """Identity layer named ``fine``, which casts to float32 and holds properties of the network.

    Keras saves the properties with the layer, so a loaded network has them, too.

    Args:
        halo: Coarse points beyond its own on which an output point depends along each axis; None if
            every output depends on the whole field.
        first_step: With a time window, True if prediction takes the first step of the output, as in
            DL4DS, and False if it takes the last step.
        patch_sized: True if outputs of larger fields differ from those of training patches, for
            example because of attention. A denoiser then samples in tiles of the patches' size.
    """

    def __init__(
        self,
        halo: int | None,
        first_step: bool = False,
        patch_sized: bool = False,
        name: str = "fine",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **{**kwargs, "dtype": "float32"})
        self.halo = halo
        self.first_step = first_step
        self.patch_sized = patch_sized

    def call(self, inputs: Any) -> Any:
        """Casts a tensor of any shape to float32."""
        return ops.cast(inputs, "float32")

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "halo": self.halo,
            "first_step": self.first_step,
            "patch_sized": self.patch_sized,
        }


def fine_layer_of(model: keras.Model) -> Fine:
    """Returns the layer :class:`Fine` of a network.

    Raises:
        ValueError: The network has no such layer.
    """
    for layer in model.layers:
        if isinstance(layer, Fine):
            return layer
    raise ValueError(f"the network {model.name} declares no halo: end it with the layer Fine")
