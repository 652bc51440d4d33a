"""Private names of Keras and TensorFlow that training needs, because there is no public way.

No other file of the package uses private names of these libraries. If an installed version lacks
one, the error states this file, the name and the version.
``tests/training/test_private_interfaces.py`` fails in that case; `make test-oldest` runs it with
the oldest supported versions.
"""

from __future__ import annotations

import importlib
from typing import Any

import keras
import tensorflow as tf

from phire.errors import WorkError

SUM = "tensorflow.python.ops.gen_math_ops", "add_n"
"""Module and name of the sum that the gradient tape and ``tf.add_n`` look up at each call.

The tape has no public option for how it sums the gradients of a tensor that is used repeatedly.
"""

MOMENTS = ("_momentums", "_velocities")
"""Lists of Adam's first and second moments, in the order of the variables.

``optimizer.variables`` is public, but does not say to which variable a moment belongs.
"""

INDEX = "_get_variable_index"
"""Method that finds a variable's place in these lists, on each replica."""


def sum_of_tensors() -> Any:
    """Returns TensorFlow's function ``add_n(inputs, name=None)``."""
    module, name = SUM
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise _missing(f"{module}.{name}", "TensorFlow", tf.__version__) from None


def replace_sum_of_tensors(function: Any) -> None:
    """Makes the gradient tape and ``tf.add_n`` sum by ``function`` in the rest of this process."""
    setattr(importlib.import_module(SUM[0]), SUM[1], function)


def adam_moments(optimizer: keras.optimizers.Adam, variable: tf.Variable) -> list[tf.Variable]:
    """Returns the first and second moments of a variable.

    Args:
        optimizer: A built Adam.
        variable: The variable, as ``update_step`` gets it.
    """
    for name in (*MOMENTS, INDEX):
        if not hasattr(optimizer, name):
            raise _missing(f"keras.optimizers.Adam.{name}", "Keras", keras.__version__)
    index = getattr(optimizer, INDEX)(variable)
    return [getattr(optimizer, name)[index].value for name in MOMENTS]


def _missing(name: str, library: str, version: str) -> WorkError:
    """Returns the error for a name that the installed version of a library lacks."""
    return WorkError(
        f"{library} {version} lacks {name}, which phire/training/private_interfaces.py needs: "
        f"install a version of {library} for which the tests pass."
    )
