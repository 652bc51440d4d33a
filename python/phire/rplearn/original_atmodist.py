"""Import of models of the original AtmoDist (sehoffmann/AtmoDist, Keras 2) as metrics."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from phire import files, provenance
from phire.errors import InputError, naming_arguments
from phire.fields.normalization import Normalization
from phire.rplearn.metric import LearnedMetric
from phire.rplearn.metric_description import metric_already_made
from phire.rplearn.model_folder import read_scales

# Statistics of the training data of the published networks: ERA5 divergence and vorticity on model
# level 120, 1979-1998 (Hoffmann and Lessig 2023, and the statistics in their code).
PUBLISHED = Normalization(
    kind="log1p",
    channels=("divergence", "vorticity"),
    mean=(1.9464334e-08, 2.0547947e-07),
    std=(2.8568757e-05, 5.081943e-05),
    log_mean=(0.0008821452, 0.00032483143),
    log_std=(0.15794525, 0.16044095),
)
PUBLISHED_UNITS = ("s**-1", "s**-1")
PUBLISHED_STEP = 3 * 3600


@naming_arguments()
def import_metric(
    folder: str | os.PathLike,
    output: str | os.PathLike,
    *,
    layer: int | None = None,
    statistics: str | os.PathLike | None = None,
    units: Sequence[str] | None = None,
    overwrite: bool = False,
) -> None:
    """Converts a model folder of the original AtmoDist to a metric.

    Args:
        folder: Folder with ``encoder.json`` (a Keras 2 functional model), ``encoder_weights.hdf5``
            and, for each layer with a known scale, ``layerN_scale.txt``. N is the index of the
            layer in the model; in the published networks 196 is stage 4, and 148 stage 3.
        output: Directory of the metric.
        layer: N of the layer to compare; by default the deepest one with a scale.
        statistics: JSON file of the normalization used in training; by default the published one
            of divergence and vorticity.
        units: Units of the channels; by default s⁻¹ with the published normalization.
        overwrite: Replace an existing output.

    Raises:
        InputError: A file of the folder is missing or does not match the others, or other options
            made the output.
    """
    folder, output = Path(folder), Path(output)
    scales = read_scales(folder)
    options = {
        "folder": str(folder.resolve()),
        "fingerprint": provenance.fingerprint(folder),
        "layer": layer,
        "statistics": str(Path(statistics).resolve()) if statistics else None,
        "statistics_fingerprint": provenance.fingerprint(statistics) if statistics else None,
        "units": list(units) if units else None,
    }
    if metric_already_made(output, "import_metric", options, overwrite):
        return
    normalization = Normalization.load(statistics) if statistics else PUBLISHED
    encoder, names = read_encoder(folder)
    for index in scales:
        if index >= len(names):
            raise InputError(
                f"{folder}/layer{index}_scale.txt is the scale of layer {index}, but encoder.json "
                f"has only {len(names)}: correct the number in the file's name."
            )
    if layer is not None and layer not in scales:
        raise InputError(
            f"--layer {layer}: {folder} has scales of the layers "
            f"{', '.join(map(str, sorted(scales)))}; choose one of these, or add "
            f"layer{layer}_scale.txt."
        )
    metric = LearnedMetric(
        encoder,
        layer=names[max(scales) if layer is None else layer],
        scales={names[index]: scale for index, scale in sorted(scales.items())},
        normalization=normalization,
        channels=normalization.channels,
        units=units or (() if statistics else PUBLISHED_UNITS),
        patch=[size for size in encoder.inputs[0].shape[1:3] if size] or None,
        step=None if statistics else PUBLISHED_STEP,
        made_of={"import_metric": options, "source": "sehoffmann/AtmoDist"},
    )
    with files.replacing(output) as partial:
        metric.write(partial)


def read_encoder(folder: Path) -> tuple[keras.Model, list[str]]:
    """Builds the encoder of ``encoder.json`` and loads the weights of ``encoder_weights.hdf5``.

    Returns:
        The model, and the names of its layers in the order of the file; N of ``layerN`` is the
        index in this list, from 0.

    Raises:
        InputError: A file is not in the format of Keras 2, or the files do not match.
    """
    path = folder / "encoder.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        config = _modernised(description["config"])
        names = [layer["config"]["name"] for layer in config["layers"]]
        encoder = keras.Model.from_config(config)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not a functional Keras 2 model that can be built ({error}): export it "
            "again with model.to_json()."
        ) from None
    _fill(encoder, folder / "encoder_weights.hdf5")
    return encoder, names


def _modernised(config: Mapping[str, Any]) -> dict[str, Any]:
    """Converts a Keras 2 model configuration to an equivalent one of Keras 3."""
    config = copy.deepcopy(dict(config))
    for layer in config["layers"]:
        inner = layer["config"]
        inner.setdefault("name", layer.get("name"))
        if isinstance(inner.get("axis"), list) and len(inner["axis"]) == 1:
            inner["axis"] = inner["axis"][0]
        if "batch_input_shape" in inner:
            shape = inner.pop("batch_input_shape")
            if layer["class_name"] == "InputLayer":
                inner["batch_shape"] = shape
        for outdated in ("ragged", "renorm", "virtual_batch_size", "fused"):
            inner.pop(outdated, None)
    return config


def _fill(encoder: keras.Model, path: Path) -> None:
    with h5py.File(path, "r") as file:
        root = file["model_weights"] if "model_weights" in file else file
        if "layer_names" not in root.attrs and "layer_names0" not in root.attrs:
            raise InputError(
                f"{path} is not a Keras 2 weights file (it has no layer_names): save the weights "
                "again with model.save_weights('encoder_weights.hdf5')."
            )
        groups = {name: root[name] for name in _names(root, "layer_names")}
        for layer in encoder.layers:
            if not layer.weights:
                continue
            if layer.name not in groups:
                raise InputError(f"{path} holds no weights of layer {layer.name!r}.")
            group = groups[layer.name]
            weights = [np.asarray(group[name]) for name in _names(group, "weight_names")]
            found = [array.shape for array in weights]
            wanted = [tuple(variable.shape) for variable in layer.weights]
            if found != wanted:
                raise InputError(
                    f"{path}: layer {layer.name!r} holds weights of the shapes {found}, "
                    f"encoder.json needs {wanted}."
                )
            layer.set_weights(weights)


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """Reads a list attribute, which Keras 2 splits into numbered parts above 64 KiB."""
    parts = (
        [group.attrs[attribute]]
        if attribute in group.attrs
        else [
            group.attrs[f"{attribute}{i}"]
            for i in range(len(group.attrs))
            if f"{attribute}{i}" in group.attrs
        ]
    )
    return [
        name.decode("utf-8") if isinstance(name, bytes) else str(name)
        for part in parts
        for name in part
    ]
