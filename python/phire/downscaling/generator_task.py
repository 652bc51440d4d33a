"""Task of an objective: the network and the records to train it on."""

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
    """Task that an objective is built for: records, network and options.

    Attributes:
        schema: Schema of the records.
        network: Name of the network.
        network_options: All its options.
        conserve: Keep the coarse input's block means, for the channels that both sides have.
        start: Weights to begin from; None for fresh ones.
        start_path: The run that these are of, for messages.
        source: Network whose layers to begin from where they correspond; None for none.
        trainable: Patterns of the layers that learn; all do where it is empty.
        residual: Trained run whose fields a denoiser learns the residual to; None for none.
        latent: Latent space that a denoiser works in, of which ``schema`` then is; None for none.
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
        """True if samples state where the target is valid."""
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
        """Normalization of the targets, for what reads their physical values.

        Raises:
            InputError: These depend on place or season, too, which is not known here.
        """
        if self.schema.target.climatologies:
            raise InputError(
                "the targets are anomalies of each point or season, but this needs physical values "
                "during training, as learned metrics, distributions and conservation do: make the "
                "records without --statistics-of and --seasonal."
            )
        return self.schema.normalization

    def build_network(
        self, *, outputs: int = 1, autoencoder: bool = False, **options: Any
    ) -> keras.Model:
        """Builds the network; inside the strategy's scope.

        It takes fields of other sizes than the records', unless its weights or levels depend on
        these.

        Args:
            outputs: Channels of the output for each target.
            autoencoder: The network may read the targets.
            **options: Options of the network that the objective fixes.

        Raises:
            InputError: An option does not fit the records, the weights to start from do not fit
                the network, or the network is an autoencoder and may not be.
        """
        shapes = self.shapes
        high = (*shapes.high[:2], shapes.high[2] * outputs)
        shapes = dataclasses.replace(shapes, high=high)
        options = {**self.network_options, **options}
        try:
            made = networks.build(self.network, shapes.of_any_size(), options=options)
        except FixedSizeError:
            made = networks.build(self.network, shapes, options=options)
        if "high" in made.input and not autoencoder:
            raise InputError(
                f"network {self.network} gives back the fine field that it is given: train it by "
                "--objective vqvae."
            )
        if self.shapes.margin and not autoencoder:
            _check_size(made, self.network, shapes)
        if self.conserve:
            low = self.schema.arrays["low"].normalization
            made = conserving(
                made, self.shapes.scale, low, self.normalization, margin=self.shapes.margin,
                areas=_row_areas(self.schema),
            )  # fmt: skip
        if self.start is not None:
            if [tuple(w.shape) for w in made.weights] != [w.shape for w in self.start]:
                raise InputError(
                    f"--pretrained {self.start_path} holds a generator of another architecture: "
                    "give the same --network with the same options."
                )
            made.set_weights(self.start)
        if self.source is not None:
            _initialize(made, self.source)
        if self.trainable:
            _fine_tune(made, self.trainable)
        return made


def _check_size(network: keras.Model, name: str, shapes: Shapes) -> None:
    """Refuses a network that keeps the margin of its coarse fields, before it is trained.

    Raises:
        InputError: Its output is not of the targets' size.
    """
    sizes = {}
    for tensor in network.inputs:
        free = tensor.shape[1:]
        known = shapes.low if tensor.name.startswith("low") else shapes.high
        if len(free) == 4:  # maps have no axis of time, also beside fields that have one
            known = (shapes.window, *known)
        sizes[tensor.name] = (1, *(b if a is None else a for a, b in zip(free, known)))
    try:
        found = tuple(network.compute_output_shape(sizes)[-3:-1])
    except ValueError:  # the maps on the fine grid have another size than what they are joined to
        found = None
    if found != shapes.high[:2]:
        size = "other sizes" if found is None else f"{found[0]} × {found[1]} points"
        raise InputError(
            f"network {name} makes fields of {size} from patches with a margin of {shapes.margin}, "
            f"but the targets have {shapes.high[0]} × {shapes.high[1]} points: let it cut the "
            "margin off before it enlarges (phire.networks.blocks.sample_inputs.without_margin)."
        )


def _row_areas(schema: SampleSchema) -> np.ndarray | None:
    """Returns the area of a cell in each row of the domain; None where rows are not of one area."""
    domain = schema.domain
    if domain is None or "position" not in schema.arrays or not domain.has_points:
        return None
    areas = cell_areas(domain)
    return areas[:, 0] / areas.mean() if np.allclose(areas, areas[:, :1]) else None


def _initialize(network: keras.Model, source: keras.Model) -> None:
    """Copies the weights of corresponding layers; names those that keep their initial weights."""
    new = copy_weights(source, network)
    if new:
        progress.say(f"layers that begin anew: {', '.join(new)}.")


def _fine_tune(network: keras.Model, patterns: Sequence[str]) -> None:
    """Freezes the layers that match no pattern, and says what still learns."""
    learning = freeze_all_but(network, patterns)
    counts = [
        sum(int(np.prod(weight.shape)) for weight in weights)
        for weights in (network.trainable_weights, network.weights)
    ]
    progress.say(f"{counts[0]} of {counts[1]} weights learn: {', '.join(learning)}.")
