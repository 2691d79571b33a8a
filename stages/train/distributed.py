"""Training on several GPUs, or on several CPU processes: `torchrun --nproc-per-node N -m stages.train ...`."""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed
from mmengine import dist

from stages.labels import GraftError


def share(batch: int) -> int:
    """Of the joint batch, the images of this process. GraftError when they cannot be shared evenly."""
    processes = dist.get_world_size()
    if batch % processes:
        raise GraftError(
            f"params.yaml: train.batch {batch} cannot be shared among {processes} processes; make it a multiple"
        )
    return batch // processes


def launch() -> dict[str, Any]:
    """What the Runner must be told of the processes that torchrun has started; nothing more without torchrun.

    Gradients are synchronised because all losses come out of the wrapper's forward pass. Without a GPU the
    processes meet over gloo, which mmengine cannot start by itself. broadcast_buffers is off: a teacher's batch norm
    goes by the batch at hand, and no rank's running statistics are better than another's.
    """
    if "RANK" not in os.environ:
        return {"launcher": "none"}
    wrapper: dict[str, Any] = {
        "type": "MMDistributedDataParallel",
        "broadcast_buffers": False,
        "find_unused_parameters": False,
    }
    if not torch.cuda.is_available():
        wrapper["device_ids"] = None
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("gloo")
    return {"launcher": "pytorch", "cfg": {"model_wrapper_cfg": wrapper}}
