"""Attention to tokens against the plain formula."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from networks.blocks.test_global_attention import plain
from phire.networks.blocks.token_attention import TokenAttention


def test_token_attention_reads_the_tokens():
    layer, random = TokenAttention(2), np.random.default_rng(0)
    field = random.normal(size=(2, 3, 5, 8)).astype("f4")
    tokens = random.normal(size=(2, 4, 6)).astype("f4")
    result = layer(field, tokens)
    query = tf.reshape(layer.query(field), (2, 15, 2, 4))
    key, value = (tf.reshape(f(tokens), (2, 4, 2, 4)) for f in (layer.key, layer.value))
    expected = layer.output_projection(tf.reshape(plain(query, key, value), (2, 3, 5, 8)))
    np.testing.assert_allclose(result, expected, atol=1e-5)
