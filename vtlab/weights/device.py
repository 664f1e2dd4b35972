"""Where a network runs: the one rule for the name of a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vtlab.errors import InputError, needs

if TYPE_CHECKING:
    import torch


def find_device(name: str) -> torch.device:
    """Return the device of a name; "auto" is a CUDA GPU, else Apple's, else the CPU.

    Raises:
        InputError: PyTorch doesn't know the device, or this machine doesn't have it.
    """
    try:
        import torch
    except ImportError as error:
        raise needs("torch", "torch", "A neural tracker") from error
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"The device {name!r} can't be used ({str(error).splitlines()[0]}). Remedy: give 'auto', 'cpu' or "
            "a device that this machine has."
        ) from error
    return device
