"""Values by channel, given as text."""

import pytest

from phire.errors import InputError
from phire.fields.channel_values import values_by_channel

CHANNELS = ("t", "pr", "u")


@pytest.mark.parametrize(
    ("text", "values"),
    [("2", ["2", "2", "2"]), ("2, pr=0", ["2", "0", "2"]), ("u=3", ["d", "d", "3"])],
)
def test_a_value_for_all_and_others_by_name(text, values):
    assert list(values_by_channel("--seasonal", text, CHANNELS, "d").values()) == values


@pytest.mark.parametrize("text", ["2,q=0", "pr=0,2", "2,3"])
def test_what_names_no_channel_is_refused(text):
    with pytest.raises(InputError, match=r"^--seasonal .* any of t, pr, u"):
        values_by_channel("--seasonal", text, CHANNELS, "d")
