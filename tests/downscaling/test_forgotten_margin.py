"""A network that keeps the margin of its coarse fields is refused in one sentence."""

import keras
import pytest

from phire.downscaling.generator_task import Task
from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.networks import network
from phire.networks.blocks.fine_output import Fine
from phire.networks.blocks.sample_inputs import fine_maps, named_inputs
from phire.records.schema import DOWNSCALING, SampleArray, SampleSchema


@pytest.fixture
def forgetful():
    """A registered network that enlarges all of ``low``."""

    @network("forgetful")
    def build(shapes, *, maps: bool = True):
        """Repeats each coarse point."""
        inputs = named_inputs(shapes)
        x = keras.layers.UpSampling2D(shapes.scale)(inputs["low"])
        if maps:
            x = keras.layers.Add()([x, *fine_maps(inputs)])
        x = keras.layers.Conv2D(1, 1)(x)
        return keras.Model(inputs, Fine(halo=0)(x), name="generator")

    yield
    del network.registered["forgetful"]


@pytest.mark.parametrize(
    ("maps", "said"), [(True, "fields of other sizes"), (False, "fields of 16 × 16 points")]
)
def test_it_is_told_to_cut_the_margin_off(forgetful, maps, said):
    normalization = Normalization.identity(("t",))
    arrays = {
        name: SampleArray(("t",), ("K",), (*size, 1), normalization=normalization)
        for name, size in (("low", (8, 8)), ("high", (8, 8)), ("static", (8, 8)))
    }
    schema = SampleSchema(DOWNSCALING, arrays, scale=2, margin=2)
    with pytest.raises(InputError, match=f"network forgetful makes {said} .* margin of 2") as error:
        Task(schema, *network.resolve("forgetful", {"maps": maps})).build_network()
    assert "without_margin" in str(error.value)


def test_a_recurrent_network_beside_maps_without_time_cuts_it_off():
    """Maps have no axis of time, so that their sizes are rows and columns, not frames and rows."""
    normalization = Normalization.identity(("t",))
    arrays = {
        name: SampleArray(("t",), ("K",), (*size, 1), normalization=normalization)
        for name, size in (("low", (3, 6, 8)), ("high", (3, 20, 30)), ("static", (20, 30)))
    }
    schema = SampleSchema(DOWNSCALING, arrays, scale=5, margin=1, window=3)
    options = {"filters": 4, "blocks": 1}
    made = Task(schema, *network.resolve("resnet", options)).build_network()
    assert made.output.shape == (None, 3, None, None, 1)
