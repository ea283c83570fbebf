"""A training batch shard over the processes of `torchrun`, and what its losses need of the other processes' rows.

Rows are dealt out like cards: process r of W holds rows r, r + W, r + 2W ... of the batch, so each has its share of
the first n products, which go through the joint entry. Gradients are averaged over processes (DDP), therefore

- a loss of gathered rows is computed in full by every process: `BatchShard.gather` sends back to a row the sum of what all
  processes ask of it, W times the gradient, and the average takes W out again;
- a mean over own rows counts by `BatchShard.weight`, where processes may hold unequal numbers of what is averaged.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn


class BatchShard(NamedTuple):
    """Which rows of a batch are here: all of them by default."""

    process: int = 0
    processes: int = 1

    @classmethod
    def here(cls, training: bool = True) -> BatchShard:
        """This process's share. Only training batches are shard; on validation every process sees whole ones."""
        if training and distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls()

    @property
    def rows(self) -> slice:
        return slice(self.process, None, self.processes)

    def gather(self, rows: Tensor) -> Tensor:
        """Own rows (b, ...) -> the whole batch's (b * W, ...) in its order, with gradients."""
        return rows if self.processes == 1 else _Gather.apply(rows, self)

    def average(self, value: Tensor) -> Tensor:
        """The mean over processes of a value of any shape, with gradients."""
        return self.gather(value.unsqueeze(0)).mean(dim=0)

    @torch.no_grad()
    def mean(self, values: Tensor) -> Tensor:
        """The mean of all processes' values, of which each may hold another number (N,)."""
        parts = torch.stack([values.float().sum(), values.new_tensor(len(values), dtype=torch.float)])
        total, count = self.average(parts)
        return total / count

    def weight(self, rows: Tensor) -> Tensor | float:
        """By what a mean over these own ``rows`` counts, so that the processes' average is the mean over all."""
        if self.processes == 1:
            return 1.0
        count = torch.tensor(float(len(rows)), device=rows.device)
        return count / self.average(count).clamp(min=1 / self.processes)


WHOLE_BATCH = BatchShard()


class _Gather(torch.autograd.Function):
    """All processes' rows interleaved; backwards, the sum of all processes' gradients of the own rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, shard: BatchShard) -> Tensor:
        ctx.shard = shard
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(shard.processes)]
        distributed.all_gather(parts, rows.contiguous())
        return torch.stack(parts, dim=1).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total[ctx.shard.rows], None


class SyncBatchNorm(nn.BatchNorm2d):
    """Batch norm by the statistics of the whole batch, not of the rows here (`nn.SyncBatchNorm` knows GPUs alone)."""

    def forward(self, features: Tensor) -> Tensor:
        shard = BatchShard.here(self.training)
        if shard.processes == 1:
            return super().forward(features)
        values, each = features.float(), (1, -1, 1, 1)
        mean = shard.average(values.mean(dim=(0, 2, 3)))
        centred = values - mean.view(each)
        variance = shard.average(centred.square().mean(dim=(0, 2, 3)))
        self._follow(mean.detach(), variance.detach(), shard.processes * values[:, 0].numel())
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(each) + self.bias.view(each)).to(features.dtype)

    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running statistics as the library does, with the unbiased variance."""
        kept: Any = self
        kept.running_mean.lerp_(mean, self.momentum)
        kept.running_var.lerp_(variance * count / (count - 1), self.momentum)
        kept.num_batches_tracked.add_(1)


def convert_sync_batchnorm(model: nn.Module) -> None:
    """Let every batch norm see the whole batch; weights and their names stay."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SyncBatchNorm
