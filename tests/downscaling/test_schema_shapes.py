"""Shapes of networks from schemas."""

from phire.downscaling.schema_shapes import shapes_of
from phire.fields.grid import Grid
from phire.networks.shapes import Shapes
from phire.records import SampleArray, SampleSchema


def test_shapes_are_those_of_the_schema():
    def array(*shape):
        names = tuple("abcdefgh"[: shape[-1]])
        return SampleArray(names, ("",) * len(names), shape)

    arrays = {"low": array(3, 6, 7, 5), "high": array(3, 8, 12, 2), "static": array(8, 12, 1)}
    schema = SampleSchema("downscaling", arrays, scale=4, margin=2, window=3)
    assert shapes_of(schema) == Shapes((6, 7, 5), (8, 12, 2), 4, static=1, window=3, margin=2)
    arrays |= {"auxiliary": array(8, 12, 4), "time": array(4)}
    schema = SampleSchema("downscaling", arrays, scale=4, margin=2, domain=Grid.pixels(40, 48))
    shapes = shapes_of(schema)
    assert (shapes.auxiliary, shapes.time, shapes.domain) == (4, 4, (40, 48))
