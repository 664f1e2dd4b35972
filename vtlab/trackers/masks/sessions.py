"""What the trackers that run through transformers share: a session that forgets, and what stands on SAM 3's cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vtlab.contracts import WeightFile

if TYPE_CHECKING:
    import torch


def sam3_file(name: str) -> WeightFile:
    """A file of SAM 3 as Meta publishes it on the hub, where its licence has to be accepted once."""
    source = "https://huggingface.co/facebook/sam3"
    return WeightFile(f"sam3.{name}", f"{source}/resolve/main/{name}", licence="SAM License", source=source)


SAM3_CARD: dict[str, Any] = {
    "licence": "SAM License (weights); Apache-2.0 (transformers)",
    "notice": "The weights of SAM 3 are under Meta's SAM License, which is not Apache-2.0 and forbids some uses, such as "
    "military ones: read and accept it on https://huggingface.co/facebook/sam3; the hub gives no file before.",
    "paper": "SAM 3: Segment Anything with Concepts, arXiv 2025",
    "paper_url": "https://arxiv.org/abs/2511.16719",
    "code": "https://github.com/huggingface/transformers",
    "requires": "transformers",
}
"""What the cards of SAM 3's trackers have in common."""


def forget_outputs(session: Any, config: Any, time: int, *, most_prompted: int | None = None) -> None:
    """Remove from the objects of a session what frames after `time` can't read.

    Args:
        session: The library's session.
        config: The configuration of the tracking network.
        time: The last frame.
        most_prompted: Prompted frames that are kept of each object, the newest; None = all.
    """
    # One of the numbers is the prompted frame's, hence the - 1.
    oldest = time + 1 - max(config.num_maskmem - 1, config.max_object_pointers_in_encoder - 1)
    for position, outputs in session.output_dict_per_obj.items():
        recent, prompted = outputs["non_cond_frame_outputs"], outputs["cond_frame_outputs"]
        outputs["non_cond_frame_outputs"] = {t: out for t, out in recent.items() if t >= oldest}
        if most_prompted is not None:
            outputs["cond_frame_outputs"] = {t: prompted[t] for t in sorted(prompted)[-most_prompted:]}
        for out in (*outputs["cond_frame_outputs"].values(), *outputs["non_cond_frame_outputs"].values()):
            # Masks take most of the memory, and later frames read their encoding alone.
            out.pop("high_res_masks", None)
            out.pop("pred_masks", None)
        for name in ("point_inputs_per_obj", "mask_inputs_per_obj", "frames_tracked_per_obj"):
            getattr(session, name)[position] = {}


def around_half(image: torch.Tensor) -> torch.Tensor:
    """Normalise (3, H, W) in [0, 1] as SAM 3 does: to [-1, 1]."""
    return image * 2 - 1
