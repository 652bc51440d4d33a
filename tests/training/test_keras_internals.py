"""The private method of Keras's optimizers that phire replaces is there and used.

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
