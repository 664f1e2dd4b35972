"""Networks of detectors through transformers, from the hub or a local folder in its layout: one way to load them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.errors import WeightsError, needs

if TYPE_CHECKING:
    import torch

CARD: dict[str, Any] = {
    "family": "detector",
    "code": "https://github.com/huggingface/transformers",
    "licence": "Apache-2.0",
    "requires": "transformers",
}
"""What the cards of these detectors share."""


def load(
    owner: str, model: str | Path, task: str, device: str, *, reads: bool = False
) -> tuple[Any, Any, torch.device]:
    """Load a network, ready to be asked.

    Args:
        owner: Name of the detector, for messages.
        model: Name on the hub, or a local folder.
        task: What the library's `AutoModelFor...` is for, such as "ObjectDetection".
        device: "cpu", "cuda", ... or "auto".
        reads: Whether it has a tokenizer, too.

    Returns:
        The network on its device, its tokenizer or None, and the device.

    Raises:
        WeightsError: The model can't be loaded.
        MissingDependencyError: PyTorch or transformers is not installed.
        InputError: The device is not there.
    """
    try:
        import torch  # noqa: F401  # named where it is what lacks
        import transformers
    except ImportError as error:
        raise needs(error.name or "transformers", "transformers", f"The detector {owner!r}") from None
    from vtlab.weights.device import find_device

    place = find_device(device)
    try:
        network = getattr(transformers, f"AutoModelFor{task}").from_pretrained(
            str(model), use_safetensors=True
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(model)) if reads else None
    except (OSError, ValueError, KeyError) as error:
        files = (
            "config.json, model.safetensors and the tokenizer's files"
            if reads
            else "config.json and model.safetensors"
        )
        raise WeightsError(
            f"{owner}: {str(model)!r} can't be loaded: {error}. Give a hub name that this machine can reach, or a local "
            f"folder with {files}."
        ) from error
    return network.eval().to(place), tokenizer, place
