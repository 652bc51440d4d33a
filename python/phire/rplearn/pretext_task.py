"""Task of a pretext objective: the encoder, and the pairs that it is trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras

from phire.errors import InputError
from phire.networks import encoder as encoders


@dataclasses.dataclass(frozen=True)
class Task:
    """Encoder, patches and optimizer that a pretext objective is built for.

    Attributes:
        input_shape: (H, W, C) of a patch.
        classes: Number of lags.
        channels: Names of the channels.
        network: Name of the encoder.
        network_options: All options of the encoder.
        optimizer: Builds a new optimizer; called within the scope of the strategy.
    """

    input_shape: tuple[int, int, int]
    classes: int
    channels: tuple[str, ...]
    network: str
    network_options: Mapping[str, Any]
    optimizer: Callable[[], keras.optimizers.Optimizer]

    def build_encoder(self) -> keras.Model:
        """Builds the encoder; must be called within the scope of the strategy.

        Raises:
            InputError: The encoder cannot be built with these options for these patches.
        """
        try:
            return encoders.build(self.network, self.input_shape, options=self.network_options)
        except (TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"encoder {self.network} cannot be built with {dict(self.network_options)} for "
                f"patches of {self.input_shape} ({error})."
            ) from None

    def mirror(self, encoder: keras.Model) -> dict[str, list[int]]:
        """Returns the filters and blocks of a decoder that mirrors the encoder's stages."""
        stages = [layer for layer in encoder.layers if layer.name.startswith("stage")]
        # Encoders without the option `blocks`, such as ResNet-101, are mirrored by six blocks per
        # stage.
        blocks = self.network_options.get("blocks", (6,) * len(stages))
        return {
            "filters": [layer.output.shape[-1] for layer in stages],
            "blocks": list(blocks) if not isinstance(blocks, int) else [blocks],
        }
