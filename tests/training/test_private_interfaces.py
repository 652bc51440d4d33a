"""Private names of Keras and TensorFlow stand in one file, and mean what phire needs of them."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import phire
from phire.errors import WorkError
from phire.networks.blocks.receptive_field import calls_of
from phire.training import Adam, private_interfaces
from phire.training.gradient_reduction import clipped
from phire.training.private_interfaces import adam_moments, sum_of_tensors

pytestmark = pytest.mark.versions


def test_the_tape_sums_by_the_function_that_is_replaced(monkeypatch):
    add_n, summed = sum_of_tensors(), []

    def counted(inputs, name=None):
        summed.append(len(inputs))
        return add_n(inputs, name=name)

    module, name = private_interfaces.SUM
    monkeypatch.setattr(sys.modules[module], name, counted)
    x = tf.constant(2.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * 3.0 + tf.sin(x) + tf.cos(x)
    np.testing.assert_allclose(tape.gradient(y, x), 3 + np.cos(2) - np.sin(2), rtol=1e-6)
    assert summed == [3], f"TensorFlow {tf.__version__} sums gradients without {name}"


def test_adam_s_moments_are_those_of_the_variable():
    variables = [keras.Variable(np.ones(n, "f4")) for n in (2, 3)]
    optimizer = Adam(0.1, beta_1=0.5, beta_2=0.75)
    optimizer.build(variables)
    optimizer.apply([tf.fill(2, 4.0), tf.fill(3, 8.0)], variables)
    for variable, (first, second) in zip(variables, [(2, 4), (4, 16)]):
        found = adam_moments(optimizer, variable.value)
        np.testing.assert_allclose(found[0], np.full(variable.shape, first))
        np.testing.assert_allclose(found[1], np.full(variable.shape, second))


@pytest.mark.parametrize("name", [*private_interfaces.MOMENTS, private_interfaces.INDEX])
def test_a_missing_name_is_named_with_file_and_version(name, monkeypatch):
    monkeypatch.setattr(private_interfaces, "SUM", ("tensorflow.python.ops.gen_math_ops", "gone"))
    message = rf"TensorFlow {tf.__version__} lacks .*gen_math_ops\.gone.*private_interfaces\.py"
    with pytest.raises(WorkError, match=message):
        sum_of_tensors()

    class Without:
        def __getattr__(self, other):
            if other == name:
                raise AttributeError(other)
            return None

    message = rf"Keras {keras.__version__} lacks .*Adam\.{name}, .*private_interfaces\.py"
    with pytest.raises(WorkError, match=message):
        adam_moments(Without(), None)


def test_no_other_module_reads_private_names():
    """A private attribute that no module of phire defines belongs to a library."""
    trees = {
        path.name: ast.parse(path.read_text(encoding="utf-8"))
        for path in Path(phire.__file__).parent.rglob("*.py")
        if path.name != "private_interfaces.py"
    }
    nodes = [(name, node) for name, tree in trees.items() for node in ast.walk(tree)]
    defined = {node.name for _, node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    defined |= {node.id for _, node in nodes if isinstance(node, ast.Name)} | {
        "_exit",
        "_asdict",
        "_replace",
    }
    defined |= {
        node.attr
        for _, node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    found = [
        f"{name}: {ast.unparse(node)}"
        for name, node in nodes
        if (
            isinstance(node, ast.Attribute)
            and re.match("_[a-z]", node.attr)
            and node.attr not in defined
        )
        or (
            isinstance(node, ast.ImportFrom)
            and re.match(r"keras\.src|tensorflow\.python", node.module or "")
        )
    ]
    assert found == []


def test_the_configuration_of_a_graph_lists_each_call_with_what_it_reads():
    """The halo of a network is computed along these calls (``networks/blocks/receptive_field``)."""
    first, second = keras.Input((8, 8, 1), name="first"), keras.Input((8, 8, 1), name="second")
    convolution = keras.layers.Conv2D(1, 3, padding="same", name="convolution")
    convolution(second)  # a call outside the graph is not counted
    end = keras.layers.Add(name="sum")([convolution(first), convolution(convolution(second))])
    graph = keras.Model({"first": first, "second": second}, end[:, 1:])
    calls = calls_of(graph.get_config())
    ((slicing,),) = [[call for call in calls if "item" in call[0]]]
    assert calls == {
        ("first", 0): [],
        ("second", 0): [],
        ("convolution", 0): [("first", 0)],
        ("convolution", 1): [("second", 0)],
        ("convolution", 2): [("convolution", 1)],
        ("sum", 0): [("convolution", 0), ("convolution", 2)],
        slicing: [("sum", 0)],
    }


@pytest.mark.parametrize(
    "limit", [{"clipnorm": 0.5}, {"global_clipnorm": 0.5}, {"clipvalue": 0.2}, {}], ids=str
)
def test_averaged_gradients_are_clipped_as_keras_clips(limit):
    gradients = [np.array([0.1, -0.7], "f4"), np.array([[0.3], [0.6], [-0.1]], "f4")]
    optimizer = keras.optimizers.SGD(1.0, **limit)
    variables = [keras.Variable(np.zeros_like(one)) for one in gradients]
    optimizer.apply([tf.constant(one) for one in gradients], variables)
    mine = clipped([tf.constant(one) for one in gradients], optimizer, 1.0)
    scaled = clipped([tf.constant(256 * one) for one in gradients], optimizer, tf.constant(256.0))
    for variable, one, of_scaled in zip(variables, mine, scaled, strict=True):
        np.testing.assert_allclose(-np.asarray(variable), one, rtol=1e-6)
        np.testing.assert_allclose(of_scaled, 256 * np.asarray(one), rtol=1e-6)


def test_an_overflow_survives_clipping_by_value():
    optimizer = keras.optimizers.SGD(1.0, clipvalue=1.0)
    (one,) = clipped([tf.constant([2.0, np.inf, np.nan])], optimizer, 1.0)
    np.testing.assert_array_equal(one, [1, np.inf, np.nan])
