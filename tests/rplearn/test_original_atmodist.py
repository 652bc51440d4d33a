"""A model folder in the layout of the original AtmoDist (Keras 2), written here with h5py alone."""

import json

import h5py
import numpy as np
import pytest
from scipy.signal import correlate2d

from phire.errors import InputError
from phire.rplearn.metric import LearnedMetric
from phire.rplearn.original_atmodist import PUBLISHED, import_metric

EPSILON = 1.001e-5


def _convolution(name, inbound, filters, strides, use_bias, kernel=3):
    return {
        "class_name": "Conv2D",
        "name": name,
        "inbound_nodes": [[[inbound, 0, 0, {}]]],
        "config": {
            "name": name,
            "trainable": True,
            "dtype": "float32",
            "filters": filters,
            "kernel_size": [kernel, kernel],
            "strides": [strides, strides],
            "padding": "same",
            "data_format": "channels_last",
            "dilation_rate": [1, 1],
            "groups": 1,
            "activation": "linear",
            "use_bias": use_bias,
            "kernel_initializer": {"class_name": "HeNormal", "config": {"seed": None}},
            "bias_initializer": {"class_name": "Zeros", "config": {}},
            "kernel_regularizer": {"class_name": "L2", "config": {"l2": 1e-4}},
            "bias_regularizer": None,
            "activity_regularizer": None,
            "kernel_constraint": None,
            "bias_constraint": None,
        },
    }


def _batch_normalization(name, inbound):
    return {
        "class_name": "BatchNormalization",
        "name": name,
        "inbound_nodes": [[[inbound, 0, 0, {}]]],
        "config": {
            "name": name,
            "trainable": True,
            "dtype": "float32",
            "axis": [3],
            "momentum": 0.99,
            "epsilon": EPSILON,
            "center": True,
            "scale": True,
            "beta_initializer": {"class_name": "Zeros", "config": {}},
            "gamma_initializer": {"class_name": "Ones", "config": {}},
            "moving_mean_initializer": {"class_name": "Zeros", "config": {}},
            "moving_variance_initializer": {"class_name": "Ones", "config": {}},
            "beta_regularizer": None,
            "gamma_regularizer": None,
            "beta_constraint": None,
            "gamma_constraint": None,
        },
    }


def _activation(name, inbound):
    return {
        "class_name": "Activation",
        "name": name,
        "inbound_nodes": [[[inbound, 0, 0, {}]]],
        "config": {"name": name, "trainable": True, "dtype": "float32", "activation": "relu"},
    }


def _layers():
    """Layers of one residual block: conv, BN, ReLU, conv, BN, add, ReLU; the last is no. 7."""
    return [
        {
            "class_name": "InputLayer",
            "name": "input_1",
            "inbound_nodes": [],
            "config": {
                "batch_input_shape": [None, 12, 12, 2],
                "dtype": "float32",
                "sparse": False,
                "ragged": False,
                "name": "input_1",
            },
        },
        _convolution("conv2d", "input_1", 4, 2, True),
        _batch_normalization("batch_normalization", "conv2d"),
        _activation("activation", "batch_normalization"),
        _convolution("conv2d_1", "activation", 4, 1, False),
        _batch_normalization("batch_normalization_1", "conv2d_1"),
        {
            "class_name": "Add",
            "name": "add",
            "inbound_nodes": [[["activation", 0, 0, {}], ["batch_normalization_1", 0, 0, {}]]],
            "config": {"name": "add", "trainable": True, "dtype": "float32"},
        },
        _activation("activation_1", "add"),
    ]


def _random_weights():
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    return {
        "conv2d": {"kernel:0": draw(3, 3, 2, 4), "bias:0": draw(4)},
        "conv2d_1": {"kernel:0": draw(3, 3, 4, 4)},
        **{
            name: {
                "gamma:0": draw(4),
                "beta:0": draw(4),
                "moving_mean:0": draw(4),
                "moving_variance:0": draw(4) ** 2 + 0.5,
            }
            for name in ("batch_normalization", "batch_normalization_1")
        },
    }


def _write_keras_2_weights(path, names, weights):
    """Writes weights as Keras 2.4 did: a group a layer, the order in attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in names]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.4.0"
        for name in names:
            group = file.create_group(name)
            arrays = weights.get(name, {})
            group.attrs["weight_names"] = [f"{name}/{key}".encode() for key in arrays]
            for key, value in arrays.items():
                group.create_dataset(f"{name}/{key}", data=value)


@pytest.fixture
def folder(tmp_path):
    """A model folder of the original AtmoDist with one residual block, and its weights."""
    path = tmp_path / "original"
    path.mkdir()
    layers, weights = _layers(), _random_weights()
    model = {
        "class_name": "Functional",
        "config": {
            "name": "encoder",
            "layers": layers,
            "input_layers": [["input_1", 0, 0]],
            "output_layers": [["activation_1", 0, 0]],
        },
        "keras_version": "2.4.0",
        "backend": "tensorflow",
    }
    (path / "encoder.json").write_text(json.dumps(model))
    names = [layer["name"] for layer in layers]
    _write_keras_2_weights(path / "encoder_weights.hdf5", names, weights)
    (path / "layer7_scale.txt").write_text("0.25\n")
    (path / "layer3_scale.txt").write_text("3.5\n")
    return path, weights


def features_by_scipy(weights, x):
    """The network's features of one field, each operation by scipy and numpy."""

    def convolve(fields, kernel, bias, stride):
        height = fields.shape[0]
        total = (-(-height // stride) - 1) * stride + 3 - height
        before = total // 2
        padded = np.pad(fields, ((before, total - before),) * 2 + ((0, 0),))
        out = [
            sum(
                correlate2d(padded[..., c], kernel[:, :, c, f], "valid")
                for c in range(fields.shape[-1])
            )
            for f in range(kernel.shape[-1])
        ]
        return np.stack(out, axis=-1)[::stride, ::stride] + bias

    def normalise(fields, held):
        deviation = np.sqrt(held["moving_variance:0"] + EPSILON)
        scaled = (fields - held["moving_mean:0"]) / deviation
        return held["gamma:0"] * scaled + held["beta:0"]

    first = convolve(x, weights["conv2d"]["kernel:0"], weights["conv2d"]["bias:0"], 2)
    first = np.maximum(normalise(first, weights["batch_normalization"]), 0)
    second = convolve(first, weights["conv2d_1"]["kernel:0"], 0, 1)
    return np.maximum(first + normalise(second, weights["batch_normalization_1"]), 0)


def physical(seed, size=12):
    values = np.random.default_rng(seed).standard_normal((1, size, size, 2))
    return (PUBLISHED.mean + np.array(PUBLISHED.std) * values).astype(np.float32)


@pytest.mark.parametrize("size", [12, 20])
def test_the_imported_metric_computes_what_the_original_does(folder, tmp_path, size):
    path, weights = folder
    import_metric(path, tmp_path / "metric")
    metric = LearnedMetric.load(tmp_path / "metric")
    assert metric.layer == "activation_1" and metric.scale == 0.25
    assert metric.scales == {"activation": 3.5, "activation_1": 0.25}
    x, y = physical(1, size), physical(2, size)
    a, b = (features_by_scipy(weights, PUBLISHED.apply(v.astype(np.float64))[0]) for v in (x, y))
    np.testing.assert_allclose(metric.features(x)[0], a, rtol=1e-3, atol=1e-3)
    assert metric.distance(x, y)[0] == pytest.approx(0.25 * np.mean((a - b) ** 2), rel=1e-3)


def test_a_layer_and_a_normalization_of_ones_own(folder, tmp_path):
    path, _ = folder
    PUBLISHED.save(tmp_path / "statistics.json")
    import_metric(
        path,
        tmp_path / "metric",
        layer=3,
        statistics=tmp_path / "statistics.json",
        units=("1/s", "1/s"),
    )
    metric = LearnedMetric.load(tmp_path / "metric")
    assert (metric.layer, metric.scale, metric.units) == ("activation", 3.5, ("1/s", "1/s"))


def test_again_is_done_and_other_options_are_refused(folder, tmp_path):
    path, _ = folder
    import_metric(path, tmp_path / "metric")
    changed = (tmp_path / "metric" / "metric.json").stat().st_mtime_ns
    import_metric(path, tmp_path / "metric")
    assert (tmp_path / "metric" / "metric.json").stat().st_mtime_ns == changed
    with pytest.raises(InputError, match="layer was None, now 3"):
        import_metric(path, tmp_path / "metric", layer=3)
    import_metric(path, tmp_path / "metric", layer=3, overwrite=True)
    assert LearnedMetric.load(tmp_path / "metric").layer == "activation"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: (p / "encoder.json").unlink(), "no encoder.json"),
        (lambda p: (p / "encoder.json").write_text("{}"), "not a functional Keras 2 model"),
        (lambda p: [q.unlink() for q in p.glob("*.txt")], "no layerN_scale.txt"),
        (lambda p: (p / "layer7_scale.txt").write_text("much"), "must hold one number"),
        (lambda p: (p / "layer99_scale.txt").write_text("1"), "only 8"),
        (lambda p: h5py.File(p / "encoder_weights.hdf5", "w").close(), "no layer_names"),
    ],
)
def test_folders_that_are_not_whole_are_refused(folder, tmp_path, spoil, said):
    path, _ = folder
    spoil(path)
    with pytest.raises(InputError, match=said):
        import_metric(path, tmp_path / "metric")
    assert not (tmp_path / "metric").exists()
