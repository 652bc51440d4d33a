"""The PyTorch part of benchmark_beside.py: an eager training step of ``resnet`` or ``swin2sr``.

``resnet`` is phire's network in PyTorch; ``swin2sr`` is Swin2SR of the package transformers, which
it needs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from worker import serve


class Residual(nn.Module):
    """Residual block of two 3×3 convolutions."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(filters, filters, 3, padding=1), nn.ReLU(),
            nn.Conv2d(filters, filters, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Applies the block to feature maps."""
        return torch.relu(self.body(x) + x)


class ResNet(nn.Module):
    """Network of phire's ``resnet`` with sub-pixel upsampling in steps of 2."""

    def __init__(self, channels: int, filters: int, blocks: int, scale: int) -> None:
        super().__init__()

        def convolution(inputs: int, outputs: int, size: int = 3) -> nn.Module:
            return nn.Conv2d(inputs, outputs, size, padding=size // 2)

        self.first = convolution(channels, filters)
        self.blocks = nn.Sequential(
            *(Residual(filters) for _ in range(blocks)), convolution(filters, filters), nn.ReLU()
        )
        steps = scale.bit_length() - 1
        self.upsampling = nn.Sequential(*[
            layer
            for _ in range(steps)
            for layer in (convolution(filters, 4 * filters), nn.PixelShuffle(2), nn.ReLU())
        ])  # fmt: skip
        self.last = nn.Sequential(
            convolution(filters, filters, 1), nn.ReLU(), convolution(filters, filters), nn.ReLU(),
            convolution(filters, filters), nn.ReLU(), convolution(filters, channels),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upsamples (B, C, h, w) to (B, C, h·s, w·s)."""
        x = self.first(x)
        return self.last(self.upsampling(x + self.blocks(x)))


class Swin2SR(nn.Module):
    """Swin2SR of transformers for one channel, with classical upsampling."""

    def __init__(self, side: int, filters: int, depths: list[int], scale: int) -> None:
        super().__init__()
        from transformers import Swin2SRConfig, Swin2SRForImageSuperResolution

        self.network = Swin2SRForImageSuperResolution(
            Swin2SRConfig(
                image_size=side, num_channels=1, num_channels_in=1, num_channels_out=1,
                embed_dim=filters, depths=depths, num_heads=[6] * len(depths), window_size=8,
                upscale=scale, upsampler="pixelshuffle",
            )
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upsamples (B, 1, h, w) to (B, 1, h·s, w·s)."""
        return self.network(x).reconstruction


def prepared(options: argparse.Namespace) -> tuple[Mapping[str, Callable[[int], Any]], dict]:
    """Returns the function ``step``, and a description of the network."""
    torch.set_num_threads(options.threads)
    side, scale = options.side, options.scale
    layout = torch.contiguous_format
    if options.case == "resnet":
        network = ResNet(1, options.filters, options.blocks, scale)
        layout = torch.channels_last
    else:
        network = Swin2SR(side, options.filters, [6] * options.blocks, scale)
    low = torch.randn(options.batch_size, 1, side, side).contiguous(memory_format=layout)
    high = torch.randn(options.batch_size, 1, side * scale, side * scale)
    high = high.contiguous(memory_format=layout)
    network = network.to(memory_format=layout).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    reduced = options.precision == "bfloat16"

    def step(count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
                made = network(low)
            nn.functional.l1_loss(made.float(), high).backward()
            optimizer.step()

    parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return {"step": step}, {"parameters": parameters, "version": f"PyTorch {torch.__version__}"}


def main() -> None:
    """Serves requests with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", choices=["resnet", "swin2sr"])
    for name in ("filters", "blocks", "scale", "side", "batch-size"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    serve(lambda: prepared(options))


if __name__ == "__main__":
    main()
