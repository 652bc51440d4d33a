"""Attention in chunks against the plain formula, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from phire.networks.blocks import global_attention
from phire.networks.blocks.global_attention import FieldAttention, attend

RANDOM = np.random.default_rng(0)
QUERY, KEY, VALUE = (RANDOM.normal(size=(2, n, 3, 4)).astype("f4") for n in (37, 11, 11))


def plain(query, key, value):
    logits = tf.einsum("bqhd,bkhd->bhqk", query, key) / 2.0
    return tf.einsum("bhqk,bkhd->bqhd", tf.nn.softmax(logits), value)


def with_gradients(function):
    given = [tf.constant(x) for x in (QUERY, KEY, VALUE)]
    with tf.GradientTape() as tape:
        tape.watch(given)
        result = function(*given)
        loss = tf.reduce_sum(result * tf.cos(tf.range(4.0)))
    return [result, *tape.gradient(loss, given)]


@pytest.mark.parametrize("values", [2**25, 66 * 5, 66 * 36, 1])
@pytest.mark.parametrize("sizes_known", [True, False])
def test_chunks_give_the_plain_result_and_gradients(monkeypatch, values, sizes_known):
    monkeypatch.setattr(global_attention, "CHUNK_VALUES", values)
    function = attend
    if not sizes_known:
        signature = [tf.TensorSpec((None, None, 3, 4))] * 3
        function = tf.function(attend, input_signature=signature)
    for found, expected in zip(with_gradients(function), with_gradients(plain)):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def operations_of(graph):
    """All operations of a graph and of the functions that it calls."""
    yield from graph.get_operations()
    for function in getattr(graph, "_functions", {}).values():
        if hasattr(function, "graph"):
            yield from operations_of(function.graph)


@pytest.mark.parametrize("linear", [True, False])
def test_memory_of_gradients_is_linear_in_the_points(monkeypatch, linear):
    """Neither a tensor nor what the loop keeps for its way back holds weights of all pairs."""
    size, values = 512, 2**12
    monkeypatch.setattr(global_attention, "CHUNK_VALUES", values if linear else size**2)

    @tf.function
    def gradient(x):
        x = tf.reshape(x, (1, size, 1, 4))
        return tf.gradients(tf.reduce_sum(attend(x, x, x) ** 2), x)

    graph = gradient.get_concrete_function(tf.TensorSpec((size * 4,))).graph
    largest = kept = 0
    for operation in operations_of(graph):
        for tensor in operation.outputs:
            if tensor.shape.is_fully_defined():
                largest = max(largest, tensor.shape.num_elements())
        if operation.type == "TensorListPushBack":
            kept += operation.inputs[1].shape.num_elements() * (size**2 // values)
    assert (max(largest, kept) < size**2 // 4) == linear


def test_field_attention_is_attention_of_its_points():
    layer = FieldAttention(2)
    field = RANDOM.normal(size=(2, 3, 5, 8)).astype("f4")
    result = layer(field)
    projected = layer.query_key_value(field.reshape(2, 15, 8))
    query, key, value = (tf.reshape(x, (2, 15, 2, 4)) for x in tf.split(projected, 3, axis=-1))
    expected = layer.output_projection(tf.reshape(plain(query, key, value), (2, 3, 5, 8)))
    np.testing.assert_allclose(result, expected, atol=1e-5)
