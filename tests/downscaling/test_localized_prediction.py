"""Networks with weights at each point of the domain: used at their places, refused elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from downscaling.trained_runs import make_run
from phire.downscaling import PredictedSource
from phire.downscaling.schema_shapes import shapes_of
from phire.errors import InputError
from phire.fields import ArraySource, CoarsenedSource, Grid, open_store
from phire.records import open_records

NETWORKS = {
    "localized": "resnet,filters=4,blocks=1,upsampling=pre,localized",
    "localized-dropout": "resnet,filters=4,blocks=1,upsampling=pre,localized,dropout=0.3,"
    "dropout_kind=mcdrop",
}


@pytest.fixture(scope="module", params=NETWORKS)
def localized(request, records):
    schema = open_records(records).schema
    path = records.with_name(request.param)
    return make_run(path, schema, shapes_of(schema), NETWORKS[request.param])


@pytest.fixture(scope="module")
def coarse(store):
    return CoarsenedSource(open_store(store), 4)


def part(coarse, rows, columns):
    """A window of the first coarse field."""
    return ArraySource(
        coarse.read([0])[:, rows, columns], channels=coarse.channels, units=coarse.units,
        grid=coarse.grid.subgrid(rows, np.arange(coarse.grid.shape[1])[columns]),
        time=coarse.time[[0]],
    )  # fmt: skip


def test_a_window_of_the_domain_has_the_weights_of_its_place(localized, coarse):
    whole = PredictedSource(localized, coarse).read([0])
    window = PredictedSource(localized, part(coarse, slice(0, 8), slice(4, 14))).read([0])
    assert window.shape == (1, 32, 40, 2)
    inner = slice(12, -12)  # beyond the receptive field's reach of the window's edges
    difference = np.abs(window - whole[:, :, 16:56])[:, inner, inner]
    assert difference.max() < 1e-4 * whole.std()
    elsewhere = np.abs(window - whole[:, :, 12:52])[:, inner, inner]
    assert elsewhere.max() > 1e-2 * whole.std()


def test_fields_elsewhere_are_refused(localized, coarse):
    shifted = Grid.regional(coarse.grid.latitudes[2:6], coarse.grid.longitudes[4:10] + 2.5)
    elsewhere = ArraySource(
        coarse.read([0])[:, 2:6, 4:10], channels=coarse.channels, units=coarse.units, grid=shifted
    )
    with pytest.raises(InputError, match=r"weights for each point of .* give input on that domain"):
        PredictedSource(localized, elsewhere).read([0])
