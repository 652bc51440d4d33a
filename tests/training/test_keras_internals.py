"""The private names of Keras that phire uses exist and mean the same.

Further private names are tested where they serve: Adam's moments in ``test_optimizers``, the sum of
gradients in ``test_determinism``.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.training import Adam
from phire.training.gradient_reduction import REDUCTION

pytestmark = pytest.mark.versions


@pytest.mark.parametrize("kind", [keras.optimizers.SGD, Adam])
def test_apply_hands_gradients_and_variables_to_the_reduction(kind):
    assert hasattr(keras.optimizers.Optimizer, REDUCTION)
    variable = keras.Variable(np.ones(3, "f4"))
    optimizer = kind(0.1)
    optimizer.build([variable])
    given = []

    def reduction(pairs):
        given.extend(pairs)
        return []

    setattr(optimizer, REDUCTION, reduction)
    optimizer.apply([tf.constant([1.0, 2.0, 3.0])], [variable])
    ((gradient, _),) = given
    np.testing.assert_array_equal(gradient, [1, 2, 3])
    # What the reduction leaves out is not applied.
    np.testing.assert_array_equal(variable, np.ones(3))


def test_nodes_by_depth_list_each_operation_after_its_inputs():
    """The halo of a network is computed along these nodes (``networks/blocks/receptive_field``)."""
    first, second = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    convolution = keras.layers.Conv2D(1, 3, padding="same")
    end = keras.layers.Add()([convolution(first), convolution(convolution(second))])
    by_depth = keras.Function([first, second], end)._nodes_by_depth
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    known = {id(first), id(second)}
    operations = []
    for node in nodes:
        if not node.is_input:
            assert {id(tensor) for tensor in node.input_tensors} <= known
            known |= {id(tensor) for tensor in node.output_tensors}
            operations.append(type(node.operation).__name__)
    assert id(end) in known
    # A layer that is called three times has three nodes.
    assert operations == ["Conv2D"] * 3 + ["Add"]
