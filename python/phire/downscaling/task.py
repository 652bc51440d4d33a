"""Task of an objective: which network to train on which records."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from phire.downscaling.shapes import shapes_of
from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.networks import Shapes
from phire.networks import network as networks
from phire.networks.blocks.conservation import conserving
from phire.records.schema import SampleSchema


@dataclasses.dataclass(frozen=True)
class Task:
    """What an objective is built for.

    Attributes:
        schema: Schema of the records.
        network: Name of the network.
        network_options: All its options.
        conserve: Keep the coarse input's block means, for the channels that both sides have.
        start: Weights to begin from; None for fresh ones.
        start_path: The run that these are of, for messages.
    """

    schema: SampleSchema
    network: str
    network_options: Mapping[str, Any]
    conserve: bool = False
    start: list[Any] | None = None
    start_path: str = ""

    @property
    def shapes(self) -> Shapes:
        """Shapes of a sample's arrays."""
        return shapes_of(self.schema)

    @property
    def masked(self) -> bool:
        """Whether samples state where the target is valid."""
        return "valid" in self.schema.arrays

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the targets."""
        return self.schema.channels

    @property
    def units(self) -> tuple[str, ...]:
        """Units of the targets."""
        return self.schema.units

    @property
    def normalization(self) -> Normalization:
        """Normalization of the targets."""
        return self.schema.normalization

    def build_network(self, *, any_size: bool = False, **options: Any) -> keras.Model:
        """Builds the network; inside the strategy's scope.

        Args:
            any_size: Leave rows and columns open, so that it takes other sizes than the records'.
            **options: Options of the network that the objective fixes.

        Raises:
            InputError: An option does not fit the records, or the weights to start from do not fit
                the network.
        """
        shapes = self.shapes
        if any_size:
            low, high = ((None, None, size[2]) for size in (shapes.low, shapes.high))
            shapes = dataclasses.replace(shapes, low=low, high=high)
        made = networks.build(self.network, shapes, options={**self.network_options, **options})
        if self.conserve:
            low = self.schema.arrays["low"].normalization
            made = conserving(
                made, self.shapes.scale, low, self.normalization, margin=self.shapes.margin
            )
        if self.start is not None:
            if [tuple(w.shape) for w in made.weights] != [w.shape for w in self.start]:
                raise InputError(
                    f"--pretrained {self.start_path} holds a generator of another architecture: "
                    "give the same --network with the same options."
                )
            made.set_weights(self.start)
        return made
