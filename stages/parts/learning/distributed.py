"""Training on several GPUs, or on several CPU processes: `torchrun --nproc-per-node N -m stages.train ...`."""

from __future__ import annotations

import atexit
import os
from typing import Any

import torch
import torch.distributed
from mmengine import dist

from stages.parts.errors import GraftError


def share(batch: int, section: str) -> int:
    """Of the joint batch, the images of this process. GraftError that names `section`.batch when they cannot be shared
    evenly."""
    processes = dist.get_world_size()
    if batch % processes:
        raise GraftError(
            f"params.yaml: {section}.batch {batch} cannot be shared among {processes} processes; make it a multiple"
        )
    return batch // processes


def launch() -> dict[str, Any]:
    """Join the processes that torchrun has started; returns what the Runner must be told of them.

    Nothing happens without torchrun. The group is made here, not in the Runner, for the batch is shared and the
    samplers are built before there is one: each would take itself for the only process. Over NCCL, each process on
    the GPU of its local rank, or without a GPU over gloo, which mmengine cannot start by itself. GraftError when
    there are fewer GPUs than processes.

    Gradients are synchronised because all losses come out of the wrapper's forward pass. broadcast_buffers is off: a
    teacher's batch norm goes by the batch at hand, and no rank's running statistics are better than another's.
    """
    if "RANK" not in os.environ:
        return {"launcher": "none"}
    on_gpu, place = torch.cuda.is_available(), int(os.environ["LOCAL_RANK"])
    if on_gpu:
        if place >= torch.cuda.device_count():
            raise GraftError(
                f"torchrun started process {place} on a machine of {torch.cuda.device_count()} GPUs; "
                f"give it --nproc-per-node {torch.cuda.device_count()} at most"
            )
        torch.cuda.set_device(place)
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
        atexit.register(torch.distributed.destroy_process_group)  # its threads may not outlive the interpreter
    wrapper = {
        "type": "MMDistributedDataParallel",
        "device_ids": [place] if on_gpu else None,
        "broadcast_buffers": False,
        "find_unused_parameters": False,
    }
    return {"launcher": "pytorch", "cfg": {"model_wrapper_cfg": wrapper}}
