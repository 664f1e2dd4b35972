"""From a checkpoint to a network that runs: filled, on its device, in its type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vtlab.contracts import WeightFile
from vtlab.errors import InputError, needs
from vtlab.weights.device import find_device

if TYPE_CHECKING:
    import torch

Network = TypeVar("Network", bound="torch.nn.Module")
DTYPES = ("float32", "float16", "bfloat16")


def load(
    make: Callable[[], Network],
    weights: str | Path | None,
    official: WeightFile,
    *,
    what: str,
    variant_of: Callable[[Mapping[str, torch.Tensor]], str | None],
    read: Callable[[Path], dict[str, torch.Tensor]] | None = None,
) -> Network:
    """Make a network and fill it from the checkpoint a user gave, or from the official one.

    Args:
        make: Makes the network; all it holds must be in its state dict, as it is made without values.
        weights: Path of a checkpoint, or None for the official one.
        official: Where the official checkpoint is found.
        what: Name of the variant, for messages.
        variant_of: Names the variant that a state dict belongs to, or None.
        read: Reads files of a layout of their own.

    Raises:
        WeightsError: The file is missing, damaged or of another variant.
        MissingDependencyError: PyTorch is not installed.
    """
    from vtlab.weights import fetch

    path = Path(weights) if weights is not None else fetch(official)
    try:
        import torch
    except ImportError as error:
        raise needs("torch", "torch", what) from error
    from vtlab.weights import checkpoints

    with torch.device("meta"):
        network = make()
    network.to_empty(device="cpu")
    checkpoints.load_into(network, path, what=what, variant_of=variant_of, read=read)
    return network


def place(
    network: torch.nn.Module,
    *,
    device: str,
    dtype: str,
    channels_last: bool,
    compile: bool,
    full_precision: Sequence[str] = (),
) -> tuple[Any, torch.device, torch.dtype]:
    """Make a loaded network ready for inference.

    Batch normalisations are folded into the convolutions before them.

    Args:
        network: Network with its weights, changed in place.
        device: "auto" (a GPU if there is one) or a name of PyTorch.
        dtype: "float32", "float16" or "bfloat16".
        channels_last: Whether convolutions run on channels-last tensors.
        compile: Whether `torch.compile` compiles the forward pass.
        full_precision: Names of the modules that stay in float32.

    Returns:
        The network, its device and its type.

    Raises:
        InputError: An unknown type, or a device that this machine doesn't have.
    """
    import torch

    from vtlab.nets.layers import fold_batch_norms

    if dtype not in DTYPES:
        raise InputError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}.")
    kind: torch.dtype = getattr(torch, dtype)
    target = find_device(device)
    fold_batch_norms(network).requires_grad_(False)
    network.to(target, kind)
    for name in full_precision:
        network.get_submodule(name).float()
    if channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if compile:
        network.compile(dynamic=True)
    return network, target, kind
