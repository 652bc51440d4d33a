"""Takes eager training steps of unet-small and unet2d in PyTorch, for benchmark_generative.py.

Networks, samples (in memory), loss and update are those of the objective edm of phire. PyTorch is
not a dependency of phire; this script needs only PyTorch. It reads requests from standard input,
one ``CASE PRECISION STEPS`` per line, and answers with wall seconds and CPU seconds per step.
"""

from __future__ import annotations

import argparse
import math
import sys
import time

import torch
from torch import nn
from torch.nn import functional

SCALE = 4


class Fourier(nn.Module):
    """Embedding of σ: sines and cosines of 2π·w·ln σ at fixed random frequencies w."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequency", torch.randn(width))

    def forward(self, sigma: torch.Tensor) -> torch.Tensor:
        """Computes the embedding: (B,) → (B, 2·width)."""
        angles = 2 * math.pi * torch.log(sigma)[:, None] * self.frequency
        return torch.cat([angles.sin(), angles.cos()], 1)


class Sinusoids(nn.Module):
    """Embedding of σ: cosines and sines at geometric frequencies."""

    def __init__(self, width: int) -> None:
        super().__init__()
        count = width // 2
        self.register_buffer("frequency", 1e4 ** (-torch.arange(count) / count))

    def forward(self, sigma: torch.Tensor) -> torch.Tensor:
        """Computes the embedding: (B,) → (B, width)."""
        angles = sigma[:, None] * self.frequency
        return torch.cat([angles.cos(), angles.sin()], 1)


class Residual(nn.Module):
    """Residual block of two normalised convolutions, with the noise embedding between them."""

    def __init__(
        self, width: int, filters: int, embedding: int, groups: int, scale_shift: bool
    ) -> None:
        super().__init__()
        self.norm_1 = nn.GroupNorm(math.gcd(groups, width), width)
        self.convolution_1 = nn.Conv2d(width, filters, 3, padding=1)
        self.embedding = nn.Linear(embedding, filters * (2 if scale_shift else 1))
        self.norm_2 = nn.GroupNorm(math.gcd(groups, filters), filters)
        self.convolution_2 = nn.Conv2d(filters, filters, 3, padding=1)
        self.shortcut = nn.Identity() if width == filters else nn.Conv2d(width, filters, 1)
        self.scale_shift = scale_shift

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Applies the block: (B, C, H, W) and the activated embedding → (B, filters, H, W)."""
        h = self.convolution_1(functional.silu(self.norm_1(x)))
        given = self.embedding(embedding)[:, :, None, None]
        if self.scale_shift:
            scale, shift = given.chunk(2, 1)
            h = self.norm_2(h) * (1 + scale) + shift
        else:
            h = self.norm_2(h + given)
        return self.shortcut(x) + self.convolution_2(functional.silu(h))


class Attention(nn.Module):
    """Residual self-attention over all points, with heads of 8 channels."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(math.gcd(groups, width), width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Applies the attention: (B, C, H, W) → (B, C, H, W)."""
        batch, width, height, columns = x.shape
        h = self.query_key_value(self.norm(x).flatten(2).transpose(1, 2))
        h = h.reshape(batch, height * columns, 3, width // 8, 8).permute(2, 0, 3, 1, 4)
        h = functional.scaled_dot_product_attention(*h.unbind(0))
        h = self.output(h.transpose(1, 2).reshape(batch, height * columns, width))
        return x + h.transpose(1, 2).reshape(batch, width, height, columns)


class UNet(nn.Module):
    """U-Net with the same layers as phire's, in two presets.

    Args:
        channels: Number of targets, and of the coarse channels that condition them.
        widths: Channels of each level, finest first.
        blocks: Residual blocks per level.
        groups: Groups of channels in the normalizations.
        attention: Levels with attention; ``unet2d`` also has attention in the middle.
        small: True for the preset ``unet-small``, False for ``unet2d``.
    """

    def __init__(
        self, channels: int, widths: list[int], blocks: int, groups: int, attention: set[int],
        small: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        stem, self.small = widths[0], small
        embedding = 4 * stem
        features = Fourier(stem) if small else Sinusoids(stem)
        self.embed = nn.Sequential(
            features, nn.Linear(stem * (2 if small else 1), embedding), nn.SiLU(),
            nn.Linear(embedding, embedding),
        )  # fmt: skip
        self.first = nn.Conv2d(2 * channels, stem, 3, padding=1)
        last, width, skips = len(widths) - 1, stem, [[stem]]
        self.down, self.up, self.middle = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()

        def block(level: int, width: int, filters: int) -> nn.ModuleList:
            parts = [Residual(width, filters, embedding, groups, small)]
            parts += [Attention(filters, groups)] if level in attention else []
            return nn.ModuleList(parts)

        for level, filters in enumerate(widths):
            resample = nn.Conv2d(width, width, 3, 2, padding=1) if level else nn.Identity()
            skips += [[width]] if level else []
            made = nn.ModuleList()
            for _ in range(blocks):
                made.append(block(level, width, filters))
                width = filters
                skips[level].append(width)
            self.down.append(nn.ModuleList([resample, made]))
        self.middle = nn.ModuleList(
            [
                Residual(width, width, embedding, groups, small),
                nn.Identity() if small else Attention(width, groups),
                Residual(width, width, embedding, groups, small),
            ]
        )
        for level in range(last - 1 if small else last, -1, -1):
            resample = nn.Identity()
            if level < last:
                resample = nn.Sequential(
                    nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1)
                )
            made, joined = nn.ModuleList(), skips[level][-1:] if small else skips[level][::-1]
            for skip in joined:
                made.append(block(level, width + skip, widths[level]))
                width = widths[level]
            self.up.append(nn.ModuleList([resample, made]))
        self.last = nn.Sequential(
            nn.GroupNorm(math.gcd(groups, width), width), nn.SiLU(),
            nn.Conv2d(width, channels, 3, padding=1),
        )  # fmt: skip

    def forward(self, noisy: torch.Tensor, low: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Denoises: noisy and low (B, C, H, W), sigma (B,) → (B, C, H, W)."""
        embedding = functional.silu(self.embed(sigma))
        x = self.first(torch.cat([noisy, low], 1))
        skips = [[x]]
        for level, (resample, blocks) in enumerate(self.down):
            x = resample(x)
            skips += [[x]] if level else []
            for block in blocks:
                x = _apply(block, x, embedding)
                skips[level].append(x)
        x = self.middle[0](x, embedding)
        x = self.middle[2](self.middle[1](x), embedding)
        levels = range(len(self.up) - 1, -1, -1)
        for level, (resample, blocks) in zip(levels, self.up):
            x = resample(x)
            joined = skips[level][-1:] if self.small else skips[level][::-1]
            for block, skip in zip(blocks, joined):
                x = _apply(block, torch.cat([x, skip], 1), embedding)
        return self.last(x)


def _apply(block: nn.ModuleList, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
    x = block[0](x, embedding)
    return block[1](x) if len(block) > 1 else x


CASES = {
    "unet-small": (lambda: UNet(2, [32, 64, 96], 1, 8, set(), True), (16, 2, 64, 64)),
    "unet2d": (lambda: UNet(1, [32, 64, 128], 2, 32, {1, 2}, False), (32, 1, 20, 32)),
}


class Training:
    """Network, batch and optimizer of a case.

    Args:
        case: Name of the case.
        precision: ``float32``, or ``bfloat16`` by autocast.
    """

    def __init__(self, case: str, precision: str) -> None:
        build, shape = CASES[case]
        self.network = build().to(memory_format=torch.channels_last)
        self.parameters = sum(values.numel() for values in self.network.parameters())
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-4)
        self.reduced = precision == "bfloat16"
        rows, columns = (size // SCALE for size in shape[2:])
        self.high = torch.randn(shape).contiguous(memory_format=torch.channels_last)
        self.low = torch.randn((*shape[:2], rows, columns))

    def step(self) -> None:
        """Updates the network on the batch, at log-normal noise levels."""
        self.optimizer.zero_grad(set_to_none=True)
        low = functional.interpolate(self.low, scale_factor=SCALE, mode="bicubic")
        low = low.contiguous(memory_format=torch.channels_last)
        clean, noise = self.high - low, torch.randn_like(self.high)
        sigma = torch.exp(-0.8 + 1.3 * torch.randn(len(clean)))
        level = sigma[:, None, None, None]
        into = (level**2 + 1) ** -0.5
        with torch.autocast("cpu", torch.bfloat16, enabled=self.reduced):
            output = self.network(into * (clean + level * noise), low, sigma)
        target = into * (level * clean - noise)
        functional.mse_loss(output.float(), target).backward()
        self.optimizer.step()


def main() -> None:
    """Answers requests until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    trainings: dict[tuple[str, str], Training] = {}
    print(f"PyTorch {torch.__version__}", flush=True)
    for line in sys.stdin:
        case, precision, steps = line.split()
        if (case, precision) not in trainings:
            trainings[case, precision] = Training(case, precision)
            trainings[case, precision].step()
        training = trainings[case, precision]
        begun, used = time.perf_counter(), time.process_time()
        for _ in range(int(steps)):
            training.step()
        wall, cpu = time.perf_counter() - begun, time.process_time() - used
        print(wall / int(steps), cpu / int(steps), training.parameters, flush=True)


if __name__ == "__main__":
    main()
