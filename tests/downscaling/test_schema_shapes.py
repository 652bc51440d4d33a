"""Shapes of networks from schemas."""

import dataclasses

import pytest

from complete_samples import schema
from phire.downscaling.schema_shapes import shapes_of
from phire.fields.grid import Grid
from phire.networks import network
from phire.networks.blocks.embeddings import CovariateValues
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


@pytest.mark.parametrize(
    "channels, periods",
    [(("day_sine", "day_cosine"), (365.2425,)), (("sine", "cosine"), ()),
     (("hour_sine", "hour_cosine", "day_sine", "day_cosine"), (24.0, 365.2425))],
)  # fmt: skip
def test_periods_are_those_of_the_covariates(channels, periods):
    found = schema()
    time = SampleArray(channels, ("1",) * len(channels), (len(channels),))
    found = dataclasses.replace(found, arrays={**found.arrays, "time": time})
    shapes = shapes_of(found)
    assert shapes.periods == periods and shapes.time == len(channels)
    options = {"widths": [4, 8], "groups": 2, "attention": [], "time_embedding": "class"}
    layers = network.build("unet2d", shapes, options=options).layers
    embedded = [layer.periods for layer in layers if isinstance(layer, CovariateValues)]
    assert embedded == [periods or (24.0,)]


def test_stations_are_channels_of_values_and_masks():
    found = schema()
    names = ("satellite", "station_tas", "station_tas_mask", "station_pr", "station_pr_mask")
    auxiliary = SampleArray(names, ("1",) * 5, (8, 8, 5))
    found = dataclasses.replace(found, arrays={**found.arrays, "auxiliary": auxiliary})
    assert shapes_of(found).stations == ((1, 2), (3, 4))
