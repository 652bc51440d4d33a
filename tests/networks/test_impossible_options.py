"""Options that no network can have are refused in one sentence, before anything is built."""

import pytest

from phire.errors import InputError
from phire.networks import build

SWIN = "swin2sr,filters=8,heads=2,depths=[2]"


@pytest.mark.parametrize(
    ("specification", "named"),
    [
        ("resnet,backbone=unet", "backbone 'unet' is unknown: choose one of convnet"),
        ("resnet,attention=maybe", "attention=maybe must be true or false"),
        ("resnet,dropout=abc", "dropout=abc must be a number"),
        ("resnet,interpolation=foo", "interpolation 'foo' is unknown"),
        ("unet-dl4ds,filters=4,width_cap=0", "width_cap=0 must be 1 or more"),
        ("fsrcnn,filters=0", "filters=0 must be 1 or more"),
        ("unet,widths=[]", r"widths=\[\] must list numbers of 1 or more"),
        ("unet,widths=[4],heads=0", "heads=0 must be 1 or more"),
        ("unet,widths=[4],noise=-1", "noise=-1 must be 0 or more"),
        ("unet,widths=[4],token_width=-1", "token_width=-1 must be 0 or more"),
        ("unet,widths=[4],dropout=1", "dropout=1 must be a fraction"),
        ("fsrcnn,narrow=0", "narrow=0 must be 1 or more"),
        ("fsrcnn,blocks=-1", "blocks=-1 must be 0 or more"),
        ("conv-baseline,filters=[0,4]", r"filters=\[0, 4\] must list numbers of 1 or more"),
        ("conv-baseline,filters=4", r"filters \[4\] must be two numbers"),
        ("deepesd,kernel=0", "kernel=0 must be 1 or more"),
        ("deepesd,filters=[0]", r"filters=\[0\] must list numbers of 1 or more"),
        ("deepesd,filters=[]", r"filters=\[\] must list numbers of 1 or more"),
        ("deepesd,points=[1.5]", "points=.* must be a list, each a whole number"),
        (f"{SWIN},drop_path=1.5", r"drop_path=1\.5 must be a fraction"),
        (f"{SWIN},drop_path=-0.1", r"drop_path=-0\.1 must be a fraction"),
        (f"{SWIN},mlp_ratio=-1", "mlp_ratio -1 must be positive"),
        (f"{SWIN},upsampling_filters=0", "upsampling_filters=0 must be 1 or more"),
        ("swin2sr,filters=8,heads=0", r"heads=\[0, .* must list numbers of 1 or more"),
        (
            "swin2sr,filters=8,heads=2,depths=[]",
            r"depths=\[\] must list numbers of 1 or more",
        ),
        (
            "swin2sr,filters=8,heads=2,depths=[0]",
            r"depths=\[0\] must list numbers of 1 or more",
        ),
        ("conv-swin2sr,filters=8,heads=3,depths=[2]", "filters 8 must be a multiple of the heads"),
    ],
)
def test_one_sentence_names_the_network_and_the_option(specification, named):
    name = specification.partition(",")[0]
    with pytest.raises(InputError, match=f"^network {name}:? .*{named}"):
        build(specification, (8, 8, 1), (16, 16, 1), scale=2)


def test_a_window_is_refused_by_the_networks_own_name():
    with pytest.raises(InputError, match="conv-swin2sr"):
        build("conv-swin2sr", (8, 8, 1), (16, 16, 1), scale=2, window=3)
