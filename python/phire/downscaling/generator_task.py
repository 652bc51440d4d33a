"""Task of an objective: builds the network to train from its options and the records' schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from phire import progress
from phire.downscaling.latent_space import LatentSpace
from phire.downscaling.residual_base import ResidualBase
from phire.downscaling.schema_shapes import shapes_of
from phire.errors import InputError
from phire.fields.conservative_maps import cell_areas
from phire.fields.normalization import Normalization
from phire.networks import Shapes
from phire.networks import network as networks
from phire.networks.blocks.conservation import conserving
from phire.networks.shapes import FixedSizeError
from phire.records.schema import SampleSchema
from phire.training.warm_start import copy_weights, freeze_all_but


@dataclasses.dataclass(frozen=True)
class Task:
    """Network and records for which an objective is built.

    Attributes:
        schema: Schema of the records; with ``latent``, that of the latent fields.
        network: Name of the network.
        network_options: All options of the network.
        conserve: Keep the coarse input's block means, for channels that input and targets share.
        start: Initial weights of the whole network; None for random ones.
        start_path: Path of the run that holds ``start``, for messages.
        source: Network from which to copy the weights of corresponding layers; None to copy none.
        trainable: Patterns of the names of trainable layers; empty for all layers.
        residual: Trained run whose prediction is subtracted from a denoiser's target; None if the
            target has another base.
        latent: Latent space in which a denoiser works; None to work on fields.
    """

    schema: SampleSchema
    network: str
    network_options: Mapping[str, Any]
    conserve: bool = False
    start: list[Any] | None = None
    start_path: str = ""
    source: keras.Model | None = None
    trainable: tuple[str, ...] = ()
    residual: ResidualBase | None = None
    latent: LatentSpace | None = None

    @property
    def shapes(self) -> Shapes:
        """Shapes of a sample's arrays."""
        return shapes_of(self.schema)

    @property
    def masked(self) -> bool:
        """True if samples have a mask of the valid target values."""
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
        """Normalization of the targets, with which an objective computes physical values.

        Raises:
            InputError: The targets are anomalies from a climatology of points or seasons, so their
                physical values cannot be computed from a batch.
        """
        if self.schema.target.climatologies:
            raise InputError(
                "learned metrics, distributions and conservation need physical values during "
                "training, but the targets are anomalies of each point or season: make the records "
                "without --statistics-of and --seasonal."
            )
        return self.schema.normalization

    def build_network(
        self, *, outputs: int = 1, autoencoder: bool = False, **options: Any
    ) -> keras.Model:
        """Builds the network with its initial weights; call it inside the strategy's scope.

        The network takes fields of any size, unless its weights or levels depend on the size.

        Args:
            outputs: Number of output channels per target.
            autoencoder: Allow networks that read the targets.
            **options: Options of the network that the objective sets.

        Raises:
            InputError: An option does not fit the records, the initial weights do not fit the
                network, or the network reads the targets and ``autoencoder`` is False.
        """
        shapes = self.shapes
        high = (*shapes.high[:2], shapes.high[2] * outputs)
        shapes = dataclasses.replace(shapes, high=high)
        options = {**self.network_options, **options}
        try:
            network = networks.build(self.network, shapes.of_any_size(), options=options)
        except FixedSizeError:
            network = networks.build(self.network, shapes, options=options)
        if "high" in network.input and not autoencoder:
            raise InputError(
                f"network {self.network} is an autoencoder of the fine fields: train it by "
                "--objective vqvae."
            )
        if self.shapes.margin and not autoencoder:
            _check_size(network, self.network, shapes)
        if self.conserve:
            low = self.schema.arrays["low"].normalization
            network = conserving(
                network, self.shapes.scale, low, self.normalization, margin=self.shapes.margin,
                areas=_row_areas(self.schema),
            )  # fmt: skip
        if self.start is not None:
            if [tuple(w.shape) for w in network.weights] != [w.shape for w in self.start]:
                raise InputError(
                    f"--pretrained {self.start_path} holds a generator of another architecture: "
                    "give the same --network with the same options."
                )
            network.set_weights(self.start)
        if self.source is not None:
            _initialize(network, self.source)
        if self.trainable:
            _fine_tune(network, self.trainable)
        return network


def _check_size(network: keras.Model, name: str, shapes: Shapes) -> None:
    """Checks that a network cuts off the margin of its coarse input.

    Raises:
        InputError: Its output has another size than the targets.
    """
    sizes = {}
    for tensor in network.inputs:
        free = tensor.shape[1:]
        known = shapes.low if tensor.name.startswith("low") else shapes.high
        if len(free) == 4:  # rows of a time window; static maps have no time axis
            known = (shapes.window, *known)
        sizes[tensor.name] = (1, *(b if a is None else a for a, b in zip(free, known)))
    try:
        output = tuple(network.compute_output_shape(sizes)[-3:-1])
    except ValueError:  # fields with the margin cannot be concatenated with maps without it
        output = None
    if output != shapes.high[:2]:
        size = "other sizes" if output is None else f"{output[0]} × {output[1]} points"
        raise InputError(
            f"network {name} makes fields of {size} from patches with a margin of {shapes.margin}, "
            f"but the targets have {shapes.high[0]} × {shapes.high[1]} points: let the network cut "
            "off the margin before upsampling "
            "(phire.networks.blocks.sample_inputs.without_margin)."
        )


def _row_areas(schema: SampleSchema) -> np.ndarray | None:
    """Returns the relative cell area of each row of the domain; None if it varies within a row."""
    domain = schema.domain
    if domain is None or "position" not in schema.arrays or not domain.has_points:
        return None
    areas = cell_areas(domain)
    return areas[:, 0] / areas.mean() if np.allclose(areas, areas[:, :1]) else None


def _initialize(network: keras.Model, source: keras.Model) -> None:
    """Copies the weights of corresponding layers, and prints the layers without a counterpart."""
    new = copy_weights(source, network)
    if new:
        progress.say(f"layers with random initial weights: {', '.join(new)}.")


def _fine_tune(network: keras.Model, patterns: Sequence[str]) -> None:
    """Freezes the layers that match no pattern, and prints the trainable ones."""
    learning = freeze_all_but(network, patterns)
    counts = [
        sum(int(np.prod(weight.shape)) for weight in weights)
        for weights in (network.trainable_weights, network.weights)
    ]
    progress.say(f"{counts[0]} of {counts[1]} weights are trained: {', '.join(learning)}.")
