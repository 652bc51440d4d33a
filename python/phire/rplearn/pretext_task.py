"""Task of a pretext objective: the encoder and the pairs to train it on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras

from phire.errors import InputError
from phire.networks import encoder as encoders


@dataclasses.dataclass(frozen=True)
class Task:
    """Task that an objective is built for: records, network and options.

    Attributes:
        input_shape: (H, W, C) of a patch.
        classes: Number of lags.
        channels: Names of the channels.
        network: Name of the encoder.
        network_options: All its options.
        optimizer: Makes a new optimizer; inside the strategy's scope.
    """

    input_shape: tuple[int, int, int]
    classes: int
    channels: tuple[str, ...]
    network: str
    network_options: Mapping[str, Any]
    optimizer: Callable[[], keras.optimizers.Optimizer]

    def build_encoder(self) -> keras.Model:
        """Builds the encoder; inside the strategy's scope.

        Raises:
            InputError: It cannot be built with the options on such patches.
        """
        try:
            return encoders.build(self.network, self.input_shape, options=self.network_options)
        except (TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"encoder {self.network} cannot be built with {dict(self.network_options)} on "
                f"patches of {self.input_shape} ({error})."
            ) from None

    def mirror(self, encoder: keras.Model) -> dict[str, list[int]]:
        """Returns filters and blocks of a decoder that mirrors the encoder, stage by stage."""
        stages = [layer for layer in encoder.layers if layer.name.startswith("stage")]
        # ResNet-101's bottlenecks are deeper than they are wide; six blocks mirror each of its
        # stages.
        blocks = self.network_options.get("blocks", (6,) * len(stages))
        return {
            "filters": [layer.output.shape[-1] for layer in stages],
            "blocks": list(blocks) if not isinstance(blocks, int) else [blocks],
        }
