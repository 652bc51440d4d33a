"""Learned metric: a frozen encoder with the channels, units and normalization of its fields.

d(x, y) = scale · mean over rows, columns and features of (f(x) − f(y))², where f is one layer of an
encoder that was trained to predict the time lag between two fields (Hoffmann and Lessig 2023,
https://doi.org/10.1017/eds.2023.1).
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

import phire.networks.fast_cpu  # noqa: F401  registers the layers that encoders are saved with
from phire import files
from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.networks.batch_norm_folding import folded
from phire.rplearn.metric_description import ENCODER_FILE, METRIC_FILE, read_metric_file
from phire.rplearn.metric_inputs import Fields


def any_size(encoder: keras.Model, layers: Sequence[str]) -> keras.Model:
    """Rebuilds an encoder, up to the deepest of ``layers``, for fields of any height and width.

    Args:
        encoder: Functional model on (H, W, C), fully convolutional up to these layers.
        layers: Names of layers of the encoder.

    Returns:
        A model named ``encoder`` on (None, None, C), with the same layer names and weights.

    Raises:
        InputError: The encoder has no layer of that name.
    """
    names = {layer.name for layer in encoder.layers}
    for layer in layers:
        if layer not in names:
            raise InputError(
                f"The encoder has no layer {layer!r}: choose one of "
                f"{', '.join(_blocks(encoder)) or ', '.join(sorted(names))}."
            )
    # The new model always has a single input tensor, even if the given one takes a list.
    outputs = [encoder.get_layer(name).output for name in layers]
    encoder = keras.Model(encoder.inputs[0], outputs, name="encoder")
    if any(size is not None for size in encoder.inputs[0].shape[1:3]):
        channels = encoder.inputs[0].shape[-1]
        free = keras.models.clone_model(
            encoder,
            input_tensors=keras.Input((None, None, channels), name="fields"),
            clone_function=_in_float32,
        )
        free.set_weights(encoder.get_weights())
        encoder = free
    return encoder


def _in_float32(layer: keras.layers.Layer) -> keras.layers.Layer:
    # Differences of features are small, so the metric uses full precision even if the encoder was
    # trained in mixed precision.
    return layer.__class__.from_config({**layer.get_config(), "dtype": "float32"})


def _blocks(encoder: keras.Model) -> list[str]:
    return [layer.name for layer in encoder.layers if layer.name.startswith("stage")]


class LearnedMetric:
    """Learned distance between fields in physical units.

    Attributes:
        encoder: Frozen Keras model on normalised fields of any size, (n, H, W, C).
        layer: Name of the layer whose features are compared.
        scales: Factor for each layer with a known scale, which brings its mean squared feature
            distance to the size of the pixel MSE of normalised fields.
        scales_without_log1p: Likewise, to the size of the MSE of z-scored fields.
        normalization: Normalization of the encoder's input.
        channels, units: Names and units of the channels, in order.
        patch: Height and width of the training patches, or None.
        step: Time step of the lags in seconds, or None.
        classes: Number of lags that the encoder was trained to predict, or None.
        scores: Scores by which the encoder's epoch was chosen.
        made_of: Provenance: run, epoch, task.
    """

    def __init__(
        self,
        encoder: keras.Model,
        *,
        layer: str,
        normalization: Normalization,
        channels: Sequence[str],
        units: Sequence[str] = (),
        scales: Mapping[str, float] | None = None,
        scales_without_log1p: Mapping[str, float] | None = None,
        patch: Sequence[int] | None = None,
        step: int | None = None,
        classes: int | None = None,
        scores: Mapping[str, Any] | None = None,
        made_of: Mapping[str, Any] | None = None,
    ) -> None:
        """Rebuilds the encoder for any input size; the arguments are the attributes.

        Raises:
            InputError: A layer is not in the encoder, or the number of channels differs.
        """
        self.scales = {name: float(value) for name, value in (scales or {layer: 1.0}).items()}
        if layer not in self.scales:
            raise InputError(
                f"Layer {layer!r} has no scale: choose one of {', '.join(self.scales)}."
            )
        self.encoder = any_size(encoder, list(self.scales))
        self.encoder.trainable = False
        found = self.encoder.inputs[0].shape[-1]
        if found != len(channels) or len(normalization.channels) != len(channels):
            raise InputError(
                f"The encoder takes {found} channels, the normalization has "
                f"{len(normalization.channels)}, and {len(channels)} are named "
                f"({', '.join(channels)}): these numbers must be equal."
            )
        self.layer = layer
        self.normalization = normalization
        self.channels = tuple(channels)
        self.units = tuple(units) or ("",) * len(self.channels)
        self.scales_without_log1p = dict(scales_without_log1p or {})
        self.patch = tuple(patch) if patch else None
        self.step = step
        self.classes = classes
        self.scores = dict(scores or {})
        self.made_of = dict(made_of or {})
        self._extractors: dict[tuple[str, ...], keras.Model] = {}

    def __repr__(self) -> str:
        return (
            f"LearnedMetric({', '.join(self.channels)}; {self.layer} of {', '.join(self.layers)}; "
            f"scale {self.scale:.4g})"
        )

    @property
    def scale(self) -> float:
        """Scale of the metric's layer."""
        return self.scales[self.layer]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers with a known scale, in the encoder's order."""
        order = [layer.name for layer in self.encoder.layers]
        return tuple(sorted(self.scales, key=order.index))

    # ------------------------------------------------------------------ files

    @classmethod
    def load(cls, path: str | os.PathLike) -> LearnedMetric:
        """Loads a metric from its directory.

        Raises:
            InputError: ``path`` does not exist or is not a metric.
        """
        description = read_metric_file(path)
        encoder = keras.models.load_model(Path(path) / ENCODER_FILE, compile=False)
        return cls._from_description(description, encoder)

    def save(self, path: str | os.PathLike, *, overwrite: bool = False) -> None:
        """Writes ``encoder.keras`` and ``metric.json`` into the directory ``path``.

        Raises:
            InputError: ``path`` exists and ``overwrite`` is not set.
        """
        if os.path.lexists(path) and not overwrite:
            raise InputError(
                f"{path} exists: name another directory, or pass overwrite=True to replace it."
            )
        with files.replacing(path) as partial:
            self.write(partial)

    def write(self, directory: Path) -> None:
        """Writes both files of the metric into a directory, which the caller renames when done."""
        directory.mkdir(parents=True, exist_ok=True)
        self.encoder.save(directory / ENCODER_FILE)
        files.write_json(directory / METRIC_FILE, self.description())

    def description(self) -> dict[str, Any]:
        """Returns the contents of ``metric.json``: all attributes except the encoder."""
        return files.plain(
            {
                "layer": self.layer,
                "scale": self.scale,
                "scale_without_log1p": self.scales_without_log1p.get(self.layer),
                "scales": self.scales,
                "scales_without_log1p": self.scales_without_log1p,
                "normalization": self.normalization.to_dict(),
                "channels": self.channels,
                "units": self.units,
                "patch": self.patch,
                "step": self.step,
                "classes": self.classes,
                "scores": self.scores,
                "made_of": self.made_of,
            }
        )

    @classmethod
    def _from_description(
        cls, description: Mapping[str, Any], encoder: keras.Model
    ) -> LearnedMetric:
        known = {
            key: value
            for key, value in description.items()
            if key not in ("scale", "scale_without_log1p", "normalization")
        }
        return cls(
            encoder, normalization=Normalization.from_dict(description["normalization"]), **known
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the metric and its weights for JSON, so that models can be saved with it."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / ENCODER_FILE
            self.encoder.save(path)
            encoder = base64.b64encode(path.read_bytes()).decode("ascii")
        return {"facts": self.description(), "encoder": encoder}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LearnedMetric:
        """Builds the metric from the configuration of :meth:`get_config`."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / ENCODER_FILE
            path.write_bytes(base64.b64decode(config["encoder"]))
            encoder = keras.models.load_model(path, compile=False)
        return cls._from_description(config["facts"], encoder)

    # --------------------------------------------------------------- features

    def extractor(self, layers: Sequence[str] | None = None) -> keras.Model:
        """Returns a Keras model from normalised fields to a dictionary of features by layer.

        Args:
            layers: Layer names; by default all with a known scale.

        Raises:
            InputError: The encoder has no such layer.
        """
        key = tuple(layers or self.layers)
        if key not in self._extractors:
            names = {layer.name for layer in self.encoder.layers}
            for layer in key:
                if layer not in names:
                    raise InputError(
                        f"The metric's encoder has no layer {layer!r}: choose one of "
                        f"{', '.join(self.layers)}."
                    )
            outputs = {name: self.encoder.get_layer(name).output for name in key}
            self._extractors[key] = folded(keras.Model(self.encoder.inputs[0], outputs))
        return self._extractors[key]

    def normalise(
        self, x: Any, *, normalization: Normalization | None = None, xp: Any = keras.ops
    ) -> Any:
        """Normalises fields for the encoder.

        Args:
            x: Fields (..., C).
            normalization: Normalization that ``x`` has already; None for physical units.
            xp: Array namespace: NumPy, or ``keras.ops`` for tensors.
        """
        if normalization is not None:
            if normalization == self.normalization:
                return x
            x = normalization.invert(x, xp=xp)
        return self.normalization.apply(x, xp=xp)

    def features(
        self,
        x: Any,
        *,
        layer: str | None = None,
        normalization: Normalization | None = None,
        batch_size: int | None = None,
        name: str = "x",
    ) -> np.ndarray:
        """Computes the features of fields at one layer.

        Args:
            x: Fields (n, H, W, C) or (H, W, C): array, tensor or xarray object. Rows of arrays
                and tensors must run from north to south; xarray objects are sorted.
            layer: Encoder layer; by default the metric's.
            normalization: Normalization of ``x``; None for physical units.
            batch_size: Number of fields computed at once; by default chosen by their size.
            name: Name of ``x`` in messages.

        Returns:
            float32 (n, h, w, F), or (h, w, F) for a single field.

        Raises:
            InputError: ``x`` is empty, has missing values, or differs from the metric in channels
                or units.
        """
        layer = layer or self.layer
        fields = Fields.of(x, self, name)
        model = self.extractor((layer,))
        parts = [
            np.asarray(model.predict_on_batch(batch)[layer])
            for batch in fields.batches(normalization, batch_size)
        ]
        result = np.concatenate(parts)
        return result[0] if fields.single else result

    # --------------------------------------------------------------- distance

    def distance(
        self,
        x: Any,
        y: Any,
        *,
        spatial: bool = False,
        per_layer: bool = False,
        layer: str | None = None,
        normalization: Normalization | None = None,
        batch_size: int | None = None,
        names: tuple[str, str] = ("x", "y"),
    ) -> Any:
        """Computes the learned distance between fields.

        It is scaled to the size of the pixel MSE of normalised fields.

        Args:
            x, y: Fields. Arrays or tensors have equal shape (n, H, W, C) or (H, W, C), with rows
                from north to south, and are compared by position. xarray objects (a DataArray with
                a dimension ``channel``, or a Dataset with one variable per channel) are aligned by
                time, latitude and longitude as in :func:`phire.evaluation.scores`, with ``x`` as
                the truth; along a dimension without coordinate they are compared by position.
            spatial: Return a map on the layer's feature grid, whose mean is the distance.
            per_layer: Return a dictionary with the values of every layer that has a scale.
            layer: Encoder layer; by default the metric's.
            normalization: Normalization of ``x`` and ``y``; None for physical units.
            batch_size: Number of fields computed at once; by default chosen by their size.
            names: Names of ``x`` and ``y`` in messages.

        Returns:
            float64 (n,), with ``spatial`` (n, h, w); without the first axis for single fields. For
            xarray objects a DataArray over the common times and, with ``spatial``, the latitudes
            and longitudes of the features. With ``per_layer`` a dictionary of these.

        Raises:
            InputError: The shapes, times or points of ``x`` and ``y`` differ; or they are empty,
                have missing values, or differ from the metric in channels or units.
        """
        layers = self.layers if per_layer else (layer or self.layer,)
        for name in layers:
            if name not in self.scales:
                raise InputError(
                    f"Layer {name!r} has no scale in this metric: choose one of "
                    f"{', '.join(self.layers)}."
                )
        first, second = Fields.pair(x, y, self, names)
        model = self.extractor(layers)
        parts: dict[str, list[np.ndarray]] = {name: [] for name in layers}
        for a, b in zip(
            first.batches(normalization, batch_size), second.batches(normalization, batch_size)
        ):
            features_a, features_b = model.predict_on_batch(a), model.predict_on_batch(b)
            for name in layers:
                difference = np.asarray(features_a[name], np.float64) - features_b[name]
                values = np.mean(difference**2, axis=-1)
                parts[name].append(
                    self.scales[name] * (values if spatial else values.mean(axis=(1, 2)))
                )
        result = {
            name: first.with_coordinates(np.concatenate(values), name)
            for name, values in parts.items()
        }
        return result if per_layer else result[layers[0]]
