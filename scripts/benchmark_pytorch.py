"""Times eager training of AtmoDist's resnet-small in PyTorch, for comparison with phire.

Network, batch (in memory) and update are those of the case ``resnet`` of benchmark_training.py.
PyTorch is not a dependency of phire; this script needs only PyTorch:

    python scripts/benchmark_pytorch.py                        # float32
    python scripts/benchmark_pytorch.py --precision bfloat16   # autocast
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn

CLASSES, CHANNELS, SIDE = 23, 2, 160


def normalised(*layers: nn.Module, filters: int) -> nn.Sequential:
    """Returns layers followed by batch normalization and ReLU."""
    return nn.Sequential(*layers, nn.BatchNorm2d(filters), nn.ReLU(inplace=True))


class Block(nn.Module):
    """Residual block of two 3×3 convolutions; the shortcut is projected if filters change."""

    def __init__(self, width: int, filters: int, stride: int) -> None:
        super().__init__()
        self.first = normalised(
            nn.Conv2d(width, filters, 3, stride, padding=1, bias=False), filters=filters
        )
        self.second = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(filters)
        self.shortcut = nn.Identity()
        if width != filters:
            self.shortcut = nn.Conv2d(width, filters, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Applies the block to feature maps."""
        return torch.relu(self.norm(self.second(self.first(x))) + self.shortcut(x))


def encoder() -> nn.Sequential:
    """Returns resnet-small, whose feature maps have a thirty-second of the patch's side."""
    layers = [
        nn.ZeroPad2d((3, 3, 3, 3)),
        normalised(nn.Conv2d(CHANNELS, 16, 8, 2), filters=16),
        nn.MaxPool2d(3, 2, padding=1),
    ]
    width = 16
    for stage, filters in enumerate((16, 32, 64, 128)):
        for block in range(6):
            layers.append(Block(width, filters, 2 if stage and not block else 1))
            width = filters
    return nn.Sequential(*layers)


class TemporalDistance(nn.Module):
    """AtmoDist's siamese network, from two patches to one logit per lag."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = encoder()
        self.head = nn.Sequential(
            normalised(nn.Conv2d(256, 128, 3, 2, padding=1), filters=128),
            normalised(nn.Conv2d(128, 128, 3, padding=1), filters=128),
            nn.Flatten(),
            nn.LazyLinear(CLASSES, bias=False),
        )

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Computes logits (B, classes) from two patches (B, 2, 160, 160)."""
        return self.head(torch.cat([self.encoder(first), self.encoder(second)], 1))


def main() -> None:
    """Runs the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10, help="steps of a block")
    parser.add_argument("--blocks", type=int, default=5)
    options = parser.parse_args()
    shape = (options.batch_size, CHANNELS, SIDE, SIDE)
    first, second = (
        torch.randn(shape).contiguous(memory_format=torch.channels_last) for _ in range(2)
    )
    labels = torch.randint(CLASSES, (options.batch_size,))
    network = TemporalDistance()
    network(first, second)  # builds the last layer, whose input size is inferred
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    reduced = options.precision == "bfloat16"

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            logits = network(first, second)
        nn.functional.cross_entropy(logits.float(), labels).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()

    step()
    wall, used = [], []
    for _ in range(options.blocks):
        begun, begun_used = time.perf_counter(), time.process_time()
        for _ in range(options.steps):
            step()
        wall.append((time.perf_counter() - begun) / options.steps)
        used.append((time.process_time() - begun_used) / options.steps)
    seconds = statistics.median(wall)
    parameters = sum(values.numel() for values in network.parameters())
    print(
        f"PyTorch {torch.__version__}, {parameters:,} parameters, "
        f"batch {options.batch_size}, {options.precision}: {seconds:.3f} s a step "
        f"({options.batch_size / seconds:.1f} pairs/s), {statistics.median(used):.3f} CPU s"
    )


if __name__ == "__main__":
    main()
