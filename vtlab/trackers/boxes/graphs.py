"""How box trackers describe their networks for `vtlab export`: the parts, example inputs, and the words of the metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vtlab.contracts import ExportGraph, ExportPart

if TYPE_CHECKING:
    import torch

Call = Callable[..., "tuple[torch.Tensor, ...]"]
OBJECTS = {0: "objects"}
"""Axes of a tensor whose rows are objects."""
IMAGENET = "RGB / 255, less mean (0.485, 0.456, 0.406), over deviation (0.229, 0.224, 0.225)"
AREA = {
    "crop": "side = ceil(factor sqrt(w h)); left = round(x - side / 2), half to even",
    "outside": "black; the image's last column (row) too, where the window reaches it",
    "images": IMAGENET,
    "limits": "corners inside the image, sides 10 px or more",
}
"""What the metadata of exported files says of `area_window`, `crop` with `cut_last`, and `limit_corners`."""
CENTRE_WINDOW = "score times the inner points of a Hann window of c + 2 points each way"
CENTRE_BOX = "of the best cell (column, row) of c x c: centre = (cell + offset) / c, size as it is, fractions of the crop"
TEMPLATE_BOX = "left, top, width, height: w T / side, h T / side around (T - 1) / 2, all over T - 1"
"""The same of `decode_centre` and `template_fractions`; T is the template's size, side its window's."""
MEAN_FILL = "mean colour of the first frame, cut to whole numbers"
CENTRE_LIMITS = "centre inside the image, sides from 10 px to the image's"
NO_UPDATE = "the template never changes"


def siamese(
    network: Any, calls: tuple[Call, Call], sizes: tuple[int, int], kept: str, outputs: Sequence[str]
) -> tuple[ExportPart, ExportPart]:
    """Parts of a network that keeps something of one template crop, and looks for it in a search crop.

    Args:
        network: The network.
        calls: `template` -> what is kept, and `search`, what is kept -> outputs.
        sizes: Sides of the template and of the search crop in pixels.
        kept: Name of what is kept; with a number behind it where it is several tensors.
        outputs: Names of the outputs.
    """
    example = calls[0](network, noise(1, 3, sizes[0], sizes[0]))
    names = (kept,) if len(example) == 1 else tuple(f"{kept}_{i}" for i in range(len(example)))

    def inputs(n: int) -> dict[str, torch.Tensor]:
        return {"template": noise(n, 3, sizes[0], sizes[0])}

    def step_inputs(n: int) -> dict[str, torch.Tensor]:
        found = calls[0](network, *inputs(n).values())
        return {"search": noise(n, 3, sizes[1], sizes[1]), **dict(zip(names, found, strict=True))}

    return (
        ExportPart(calls[0], inputs, names, dict.fromkeys(("template", *names), OBJECTS)),
        ExportPart(
            calls[1], step_inputs, tuple(outputs), dict.fromkeys(("search", *names, *outputs), OBJECTS)
        ),
    )


def by_centre(
    network: Any,
    calls: tuple[Call, Call],
    step_inputs: Callable[[int], dict[str, torch.Tensor]],
    states: Sequence[str],
    facts: Mapping[str, str],
) -> ExportGraph:
    """The graph of MCITrack and SUTrack: templates with the boxes in them -> tokens; search crop, tokens -> maps of a box.

    Args:
        network: The network; its `config` has the sizes.
        calls: template (B, 3, T, T), template_box (B, 4) -> tokens; `step_inputs` -> score, size, offset, `states`.
        step_inputs: Makes example inputs of the step.
        states: Names of what the step gives besides the maps.
        facts: The metadata.
    """
    size = network.config.template

    def inputs(n: int) -> dict[str, torch.Tensor]:
        import torch

        # No round numbers and no square: an export that mixes up x and y gives another answer.
        box = torch.tensor([0.25, 0.27, 0.5, 0.45]).expand(n, 4).contiguous()
        return {"template": noise(n, 3, size, size), "template_box": box}

    outputs = ("score", "size", "offset", *states)
    return ExportGraph(
        network,
        ExportPart(
            calls[0], inputs, ("tokens",), dict.fromkeys(("template", "template_box", "tokens"), OBJECTS)
        ),
        ExportPart(calls[1], step_inputs, outputs, dict.fromkeys((*step_inputs(1), *outputs), OBJECTS)),
        facts,
    )


def around_centre(template: int, search: int) -> dict[str, str]:
    """What MCITrack and SUTrack share around their networks; the sides of their crops in pixels."""
    return {
        **AREA,
        "template_size": str(template),
        "search_size": str(search),
        "window": CENTRE_WINDOW,
        "box": CENTRE_BOX,
        "template_box": TEMPLATE_BOX,
    }


def noise(*shape: int) -> torch.Tensor:
    """Normal random numbers, always the same for a shape: example inputs of an exported network."""
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))
