"""Inputs of a U-Net on the fine grid, and embeddings of its noise level and other inputs."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import keras
from keras import layers, ops

from phire.errors import InputError, OptionError
from phire.networks.blocks.embeddings import (
    CovariateTokens,
    CovariateValues,
    ZeroIfDropped,
    embed_noise_level,
    embed_time,
    two_dense,
)
from phire.networks.blocks.interpolation_layer import Interpolation
from phire.networks.blocks.multiples import PadToMultiple
from phire.networks.blocks.position_channels import PlaceChannels
from phire.networks.blocks.sample_inputs import fine_maps, named_inputs, without_margin
from phire.networks.blocks.station_tokens import StationTokens
from phire.networks.shapes import Shapes

DEFAULT_PERIODS = (24.0, 365.2425)
"""Periods of the hour of the day and the day of the year."""


@keras.saving.register_keras_serializable(package="phire")
class NullToken(keras.layers.Layer):
    """Token of zeros for each sample, (B, …) → (B, 1, width).

    Args:
        width: Length of the token.
    """

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width

    def call(self, inputs: Any) -> Any:
        """Returns zeros, (B, 1, width)."""
        return ops.zeros((ops.shape(inputs)[0], 1, self.width), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (B, 1, width)."""
        return input_shape[0], 1, self.width

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "width": self.width}


def inputs_of(shapes: Shapes, options: SimpleNamespace) -> dict[str, Any]:
    """Returns the Keras inputs by name, with those of a denoiser or stochastic generator.

    Raises:
        InputError: An option needs an input that the records lack.
    """
    fine = shapes.high[:2]
    inputs = named_inputs(shapes)
    if options.time_embedding and not shapes.time:
        raise OptionError(
            f"time_embedding {options.time_embedding!r} needs time covariates, but the records "
            "have none: make them with --covariates, or leave it out."
        )
    if options.place:
        if shapes.domain is None:
            raise OptionError(
                f"place {options.place!r} needs the domain from which patches are cut, but the "
                "records do not state it: leave it out."
            )
        inputs["position"] = keras.Input((2,), name="position", dtype="int32")
    if options.context:
        if shapes.context_size is None:
            raise OptionError(
                "context needs the whole coarse field beside each patch, but the records lack it: "
                "make them with --context H,W, or leave it out."
            )
        inputs["context"] = keras.Input((*shapes.context_size, shapes.low[2]), name="context")
    if options.denoiser:
        inputs["noisy"] = keras.Input((*fine, shapes.high[2]), name="noisy")
        inputs["noise_level"] = keras.Input((), name="noise_level")
    if options.noise:
        inputs["noise"] = keras.Input((*fine, options.noise), name="noise")
    return inputs


def joined_on_fine_grid(
    inputs: dict[str, Any], shapes: Shapes, options: SimpleNamespace
) -> tuple[Any, Any]:
    """Concatenates the inputs on the fine grid.

    Returns:
        All fields, and the conditions only (``low``, ``static`` and ``auxiliary``), both
        (B, H, W, channels).
    """
    low = Interpolation(shapes.scale, options.interpolation, name="low_interpolated")(inputs["low"])
    low = without_margin(low, shapes.margin * shapes.scale)
    conditions = [low, *fine_maps(inputs)]
    fields = [inputs[name] for name in ("noisy",) if name in inputs] + conditions
    if "noise" in inputs:
        fields.append(inputs["noise"])
    if options.place:
        place = PlaceChannels(shapes.domain, options.place_channels, options.place, name="place")
        fields.append(place(inputs["position"], low))
    return joined(fields, "joined"), joined(conditions, "conditions")


def joined(fields: Sequence[Any], name: str) -> Any:
    """Concatenates fields along the channels."""
    return layers.Concatenate(name=name)(fields) if len(fields) > 1 else fields[0]


def coarser_conditions(condition: Any, levels: int, width: int) -> list[Any]:
    """Returns the conditions for each coarser level, as ``width`` channels.

    At each level the conditions are averaged over blocks and pass a convolution. A convolution at
    the finest level is pooled and added, which passes on structure within a block. Published
    cascade conditioning of downscaling U-Nets defines this finest convolution, but does not use it.

    Args:
        condition: Conditions on the fine grid, (B, H, W, C); the downsampling divides H and W.
        levels: Number of levels, the finest included.
        width: Channels of each result.
    """

    def convolved(x: Any, level: int) -> Any:
        return layers.Conv2D(width, 3, padding="same", name=f"condition_{level}")(x)

    results = []
    finest = convolved(condition, 0)
    for level in range(1, levels):
        condition = layers.AveragePooling2D(2, name=f"condition_{level}_pooling")(condition)
        finest = layers.AveragePooling2D(2, name=f"condition_0_pooling_{level}")(finest)
        sum_ = layers.Add(name=f"condition_{level}_sum")
        results.append(sum_([convolved(condition, level), finest]))
    return results


def padded(x: Any, multiple: int, name: str) -> Any:
    """Pads rows and columns to multiples of a number; see :class:`PadToMultiple`."""
    return PadToMultiple(multiple, name=name)(x) if multiple > 1 else x


def embedding_of(
    inputs: dict[str, Any], shapes: Shapes, options: SimpleNamespace, stem: int
) -> Any:
    """Returns the sum of the embeddings of noise level, covariates and context, (B, 4·stem).

    It is None if the network has none of these.
    """
    width = 4 * stem
    embeddings = []
    if "noise_level" in inputs:
        embeddings.append(
            embed_noise_level(
                inputs["noise_level"], options.noise_embedding, stem, width,
                sine_first=options.sine_first, fourier_scale=options.fourier_scale,
            )
        )  # fmt: skip
    if "time" in inputs and not (options.token_width and options.time_embedding is None):
        kind = options.time_embedding or "cyclical"
        periods = periods_of(shapes, options)
        embeddings += embed_time(inputs["time"], kind, stem, width, periods)
    if "context" in inputs:
        # Not interpolated to the fine grid as further channels: they would cover the whole domain,
        # so at a given point their values would depend on the size of the tile.
        values = layers.Flatten(name="context_values")(inputs["context"])
        embeddings.append(two_dense(values, width, "context_embedding"))
    if len(embeddings) < 2:
        return embeddings[0] if embeddings else None
    return layers.Add(name="embedding")(embeddings)


def tokens_of(inputs: dict[str, Any], shapes: Shapes, options: SimpleNamespace) -> Any:
    """Returns the tokens of covariates and stations, (B, L, D); None if ``token_width`` is 0.

    Without covariates and stations there is one token of zeros.
    """
    width = options.token_width
    tokens = []
    if not width:
        return None
    if "time" in inputs:
        periods = periods_of(shapes, options)
        values = CovariateValues(periods, name="token_values")(inputs["time"])
        of_covariates = CovariateTokens(width, periods, name="tokens")(values)
        tokens.append(ZeroIfDropped(name="tokens_or_zero")(of_covariates, inputs["time"]))
    if shapes.stations:
        stations = StationTokens(width, shapes.stations, name="station_tokens")
        tokens.append(stations(inputs["auxiliary"]))
    if not tokens:
        return NullToken(width, name="tokens")(inputs["low"])
    return layers.Concatenate(axis=1, name="all_tokens")(tokens) if len(tokens) > 1 else tokens[0]


def periods_of(shapes: Shapes, options: SimpleNamespace) -> tuple[float, ...]:
    """Returns the period of each covariate, from the records unless the option gives others.

    Raises:
        InputError: There are fewer periods than covariates, or covariates lack a sine or cosine.
    """
    if shapes.time % 2:
        raise InputError(
            f"time={shapes.time} must be an even number: sine and cosine of each covariate."
        )
    periods, count = tuple(map(float, options.periods)), shapes.time // 2
    if periods == DEFAULT_PERIODS and shapes.periods:
        return shapes.periods
    if len(periods) < count:
        raise OptionError(
            f"periods {list(periods)} must have one number for each of the {count} time covariates."
        )
    return periods[:count]
