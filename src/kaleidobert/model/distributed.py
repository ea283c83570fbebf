"""A training batch divided among the processes of `torchrun`, and losses that need other processes' rows.

Process r of W holds rows r, r + W, r + 2W ... of the batch, so that each has an equal share of the first n products,
on which the joint objectives are computed. Gradients are averaged over processes (DDP), therefore

- a loss of gathered rows is computed in full by every process: the backward pass of `BatchShard.gather` sums the
  processes' gradients of a row, W times its gradient, which DDP's average undoes;
- a mean over a process's own rows is multiplied by `BatchShard.weight`, as processes may hold unequal numbers of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn


class BatchShard(NamedTuple):
    """The rows of a batch that a process holds; by default all of them."""

    process: int = 0
    processes: int = 1

    @classmethod
    def here(cls, training: bool = True) -> BatchShard:
        """This process's share of a training batch. Validation batches are whole in every process."""
        if training and distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls()

    @property
    def rows(self) -> slice:
        return slice(self.process, None, self.processes)

    def gather(self, rows: Tensor) -> Tensor:
        """Each process's rows (b, ...) -> the whole batch (b * W, ...) in its order, with gradients."""
        return rows if self.processes == 1 else _Gather.apply(rows, self)

    def average(self, value: Tensor) -> Tensor:
        """The mean over processes of a value of any shape, with gradients."""
        return self.gather(value.unsqueeze(0)).mean(dim=0)

    @torch.no_grad()
    def mean(self, values: Tensor) -> Tensor:
        """The mean of all processes' values (N,); N may differ between processes."""
        parts = torch.stack([values.float().sum(), values.new_tensor(len(values), dtype=torch.float)])
        total, count = self.average(parts)
        return total / count

    def weight(self, rows: Tensor) -> Tensor | float:
        """The factor of a mean over these ``rows``, with which the processes' average is the mean over all rows."""
        if self.processes == 1:
            return 1.0
        count = torch.tensor(float(len(rows)), device=rows.device)
        return count / self.average(count).clamp(min=1 / self.processes)


WHOLE_BATCH = BatchShard()


class _Gather(torch.autograd.Function):
    """All processes' rows, interleaved; backwards, the sum of all processes' gradients of this process's rows.

    `torch.distributed.nn.functional.all_gather` gives equal rows and gradients (tests/training/test_distributed.py),
    but torch 2.13 deprecates it for a private function that earlier versions do not have.
    """

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
    """Batch norm by the statistics of the whole batch; unlike `nn.SyncBatchNorm` it works on CPUs, too."""

    def forward(self, features: Tensor) -> Tensor:
        shard = BatchShard.here(self.training)
        if shard.processes == 1:
            return super().forward(features)
        values, channels = features.float(), (1, -1, 1, 1)
        mean = shard.average(values.mean(dim=(0, 2, 3)))
        centred = values - mean.view(channels)
        variance = shard.average(centred.square().mean(dim=(0, 2, 3)))
        self._update_statistics(mean.detach(), variance.detach(), shard.processes * values[:, 0].numel())
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(channels) + self.bias.view(channels)).to(features.dtype)

    def _update_statistics(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running statistics as `nn.BatchNorm2d` does, with the unbiased variance."""
        module: Any = self
        module.running_mean.lerp_(mean, self.momentum)
        module.running_var.lerp_(variance * count / (count - 1), self.momentum)
        module.num_batches_tracked.add_(1)


def convert_sync_batchnorm(model: nn.Module) -> None:
    """Turn every `nn.BatchNorm2d` into a `SyncBatchNorm` in place; weights and their names stay."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SyncBatchNorm
