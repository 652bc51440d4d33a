"""Embeddings of the noise level and of the time covariates, computed in float32.

Keras has no such layers. ``tests/networks/blocks/test_embeddings.py`` checks them against numbers
of diffusers and DeepR.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from phire.errors import OptionError

NOISE_KINDS = ("fourier", "positional", "log")
"""Kinds of embedding of the noise level; see :func:`embed_noise_level`."""
TIME_KINDS = ("class", "positional", "timestep", "cyclical")
"""Kinds of embedding of the covariates; see :func:`embed_time`."""
LEAST_LEVEL = 1e-12
"""Lower bound of noise levels before their logarithm is taken."""


class _Float32(keras.layers.Layer):
    """Base of layers that compute in float32 under any policy: sines of large angles need it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})


@keras.saving.register_keras_serializable(package="phire")
class Sinusoids(_Float32):
    """Sinusoidal embedding: cosines and sines of values at geometric frequencies, (…) → (…, width).

    The n = width // 2 frequencies are period^(−i/n), and cosines come before sines (Ho et al. 2020,
    arXiv:2006.11239, as in diffusers). With ``sine_first`` they are period^(−i/(n − 1)), and sines
    come before cosines (Vaswani et al. 2017, arXiv:1706.03762, as in tensor2tensor). An odd width
    ends with a zero.

    Args:
        width: Length of the embedding.
        period: Highest frequency, which is 1 radian per unit, divided by the lowest (roughly,
            without ``sine_first``).
        sine_first: Spacing of the frequencies and order of sines and cosines.
    """

    def __init__(
        self, width: int, period: float = 1e4, sine_first: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.period = period
        self.sine_first = sine_first

    def call(self, inputs: Any) -> Any:
        """Embeds values, (…) → (…, width)."""
        return sinusoids(inputs, self.width, self.period, self.sine_first)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (…, width)."""
        return (*input_shape, self.width)

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {
            **super().get_config(), "width": self.width, "period": self.period,
            "sine_first": self.sine_first,
        }  # fmt: skip


def sinusoids(values: Any, width: int, period: float = 1e4, sine_first: bool = False) -> Any:
    """Returns the sinusoidal embedding of values; see :class:`Sinusoids`."""
    count = width // 2
    last = max(count - sine_first, 1)
    frequencies = np.exp(-math.log(period) * np.arange(count) / last).astype("float32")
    angles = ops.cast(values, "float32")[..., None] * frequencies
    parts = [ops.cos(angles), ops.sin(angles)]
    parts = parts[::-1] if sine_first else parts
    if width % 2:
        parts.append(ops.zeros_like(angles[..., :1]))
    return ops.concatenate(parts, axis=-1)


@keras.saving.register_keras_serializable(package="phire")
class FourierFeatures(_Float32):
    """Fourier features: sines and cosines of 2π·w·x at fixed random frequencies w ~ N(0, scale²).

    Source: Tancik et al. 2020, arXiv:2006.10739.

    Args:
        frequencies: Number of frequencies.
        scale: Standard deviation of the frequencies.
        seed: Seed of the frequencies.
    """

    def __init__(self, frequencies: int, scale: float = 1.0, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frequencies = frequencies
        self.scale = scale
        self.seed = seed

    def build(self, input_shape: tuple) -> None:
        """Draws the frequencies."""
        self.frequency = self.add_weight(
            shape=(self.frequencies,), trainable=False, name="frequency",
            initializer=keras.initializers.RandomNormal(0, self.scale, seed=self.seed),
        )  # fmt: skip

    def call(self, inputs: Any) -> Any:
        """Embeds values, (B,) → (B, 2·frequencies)."""
        angles = 2 * math.pi * ops.cast(inputs, "float32")[..., None] * self.frequency
        return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (B, 2·frequencies)."""
        return (*input_shape, 2 * self.frequencies)

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {
            **super().get_config(), "frequencies": self.frequencies, "scale": self.scale,
            "seed": self.seed,
        }  # fmt: skip


@keras.saving.register_keras_serializable(package="phire")
class LogLevel(_Float32):
    """Natural logarithm of noise levels, times a factor.

    Args:
        factor: Factor of the logarithm; ¼ gives EDM's c_noise.
    """

    def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        """Transforms noise levels (B,) → (B,)."""
        level = ops.maximum(ops.cast(inputs, "float32"), LEAST_LEVEL)
        return self.factor * ops.log(level)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (B,)."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="phire")
class Covariate(_Float32):
    """Column of the covariates, (B, K) → (B,), as values or as class numbers.

    Args:
        index: Index of the column.
        classes: Number of classes, to return ⌊value⌋ modulo this number; None to return the value.
    """

    def __init__(self, index: int, classes: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.index = index
        self.classes = classes

    def call(self, inputs: Any) -> Any:
        """Transforms (B, K) → (B,)."""
        value = ops.cast(inputs, "float32")[:, self.index]
        return value if self.classes is None else ops.mod(ops.floor(value), self.classes)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (B,)."""
        return input_shape[:1]

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "index": self.index, "classes": self.classes}


@keras.saving.register_keras_serializable(package="phire")
class CovariateValues(_Float32):
    """Values of covariates from sine and cosine of their phases, (B, 2·K) → (B, K).

    A value lies in [0, period). It is raised by 2.4e-7 of the period, because the rounding of sines
    and cosines to float32 would otherwise put whole hours just below the hour.

    Args:
        periods: Period of each covariate, in the unit of the covariate.
    """

    def __init__(self, periods: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.periods = tuple(periods)

    def call(self, inputs: Any) -> Any:
        """Transforms (B, 2·K) → (B, K)."""
        pairs = ops.cast(inputs, "float32")
        turns = ops.arctan2(pairs[:, ::2], pairs[:, 1::2]) / (2 * math.pi)
        return ops.mod(turns + 2.0**-22, 1.0) * np.asarray(self.periods, "float32")

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (B, K)."""
        return input_shape[0], len(self.periods)

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "periods": self.periods}


@keras.saving.register_keras_serializable(package="phire")
class ZeroIfDropped(_Float32):
    """Embeddings of covariates, set to zero where the covariate was dropped.

    Condition dropout and guidance mark a dropped covariate by setting both its sine and its cosine
    to 0, values that no phase has. The embedding of a dropped covariate is then zero.

    Args:
        index: Index of the covariate for one embedding, (B, width); None for the tokens of all
            covariates, (B, K, width).
    """

    def __init__(self, index: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.index = index

    def call(self, embedding: Any, time: Any) -> Any:
        """Returns the embeddings or zeros.

        Args:
            embedding: (B, width) or (B, K, width).
            time: Sine and cosine of each covariate, (B, 2·K).
        """
        squares = ops.square(time)
        present = squares[:, ::2] + squares[:, 1::2] > 0
        present = present[..., None] if self.index is None else present[:, self.index, None]
        return ops.where(present, embedding, 0.0)

    def compute_output_shape(self, embedding_shape: tuple, time_shape: tuple) -> tuple:
        """Returns the shape of the embedding."""
        return embedding_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "index": self.index}


@keras.saving.register_keras_serializable(package="phire")
class CovariateTokens(_Float32):
    """Tokens of the covariates for cross-attention, (B, K) → (B, K, width), without weights.

    A token is the sum of two sinusoidal embeddings: of the covariate's value, with frequencies down
    to one over its period, and of the covariate's index.

    Args:
        width: Length of a token.
        periods: Period of each covariate, in the unit of the covariate.
    """

    def __init__(self, width: int, periods: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.periods = tuple(periods)

    def call(self, inputs: Any) -> Any:
        """Transforms (B, K) → (B, K, width)."""
        values = ops.cast(inputs, "float32")
        tokens = [
            sinusoids(values[:, k], self.width, period, sine_first=True)
            for k, period in enumerate(self.periods)
        ]
        indices = np.arange(len(self.periods), dtype="float32")
        return ops.stack(tokens, axis=1) + sinusoids(indices, self.width, sine_first=True)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (B, K, width)."""
        return (*input_shape, self.width)

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "width": self.width, "periods": self.periods}


def embed_noise_level(
    level: Any, kind: str, width: int, output: int, *, sine_first: bool, fourier_scale: float
) -> Any:
    """Embeds noise levels, (B,) → (B, output), by features and two dense layers.

    Args:
        level: Noise levels σ, or numbers of time steps, (B,).
        kind: Features: ``fourier``, of ln σ with fixed random frequencies; ``positional``,
            sinusoids of the level itself; ``log``, sinusoids of ¼ ln σ.
        width: Number of frequencies of ``fourier``, or length of the sinusoids.
        output: Length of the embedding.
        sine_first: See :class:`Sinusoids`.
        fourier_scale: Standard deviation of the random frequencies.

    Raises:
        InputError: ``kind`` is unknown.
    """
    if kind not in NOISE_KINDS:
        raise OptionError(f"noise_embedding {kind!r} must be one of {', '.join(NOISE_KINDS)}.")
    if kind != "positional":
        factor = 1.0 if kind == "fourier" else 0.25
        level = LogLevel(factor, name="log_noise_level")(level)
    if kind == "fourier":
        features = FourierFeatures(width, fourier_scale, name="noise_features")(level)
    else:
        features = Sinusoids(width, sine_first=sine_first, name="noise_features")(level)
    return two_dense(features, output, "noise_embedding")


def embed_time(time: Any, kind: str, width: int, output: int, periods: Sequence[float]) -> list:
    """Embeds the time covariates.

    Args:
        time: Sine and cosine of the phase of each of K covariates, (B, 2·K).
        kind: Embedding of each covariate: ``class``, a learned vector for each whole value in the
            period; ``positional``, sinusoids with frequencies down to one over the period, without
            weights; ``timestep``, sinusoids and two dense layers. Or ``cyclical``, two dense layers
            of ``time`` itself.
        width: Length of the sinusoids of ``timestep``.
        output: Length of an embedding.
        periods: Period of each covariate.

    Returns:
        Embeddings to be summed, each (B, output). The embedding of a dropped covariate is zero or,
        with ``cyclical``, the embedding of sine 0 and cosine 0.

    Raises:
        InputError: ``kind`` is unknown.
    """
    if kind == "cyclical":
        return [two_dense(time, output, "time_embedding")]
    if kind not in TIME_KINDS:
        raise OptionError(f"time_embedding {kind!r} must be one of {', '.join(TIME_KINDS)}.")
    embeddings = []
    values = CovariateValues(periods, name="time_values")(time)
    for k, period in enumerate(periods):
        name = f"time_{k}_embedding"
        rows = math.ceil(period)
        value = Covariate(k, rows if kind == "class" else None, name=f"time_{k}")(values)
        if kind == "class":
            embedding = layers.Embedding(rows, output, name=name)(value)
        elif kind == "positional":
            embedding = Sinusoids(output, period, sine_first=True, name=name)(value)
        else:
            features = Sinusoids(width, name=f"time_{k}_features")(value)
            embedding = two_dense(features, output, name)
        embeddings.append(ZeroIfDropped(k, name=f"{name}_or_zero")(embedding, time))
    return embeddings


def two_dense(x: Any, output: int, name: str) -> Any:
    """Adds a dense layer with SiLU and a second dense layer, both of ``output`` units."""
    x = layers.Dense(output, activation="silu", name=f"{name}_1")(x)
    return layers.Dense(output, name=f"{name}_2")(x)
