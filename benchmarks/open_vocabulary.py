"""Detectors that read text: CPU milliseconds a frame, beside transformers' own processor and network called directly.

    python -m benchmarks.open_vocabulary [frames]

Small networks with random weights and the same input on both sides, so what is compared is the way to the network and
back: resizing, normalising, reading the texts, decoding (the library reads the texts anew for each frame, as its
processor does). The two take turns; of each the median frame counts. Frames are 640 x 480.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from rich.console import Console
from rich.table import Table

from vtlab.registry import DETECTORS
from vtlab.testing.seeded import detectors

TEXTS = ("yellow taxi", "dog")
Find = Callable[[np.ndarray], Any]


def owlv2(folder: Path) -> Find:
    """The library's way to boxes by OWLv2, as its documentation has it."""
    network = transformers.Owlv2ForObjectDetection.from_pretrained(folder).eval()
    side = network.config.vision_config.image_size
    images = transformers.Owlv2ImageProcessorPil(size={"height": side, "width": side})
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    processor = transformers.Owlv2Processor(images, tokenizer)

    def find(image: np.ndarray) -> Any:
        given = tokenizer(list(TEXTS), padding="max_length", max_length=16, return_tensors="pt")
        given.pop("token_type_ids", None)
        out = network(**given, **images(image, return_tensors="pt"))
        return processor.post_process_grounded_object_detection(
            out, threshold=0.01, target_sizes=[image.shape[:2]]
        )

    return find


def grounding_dino(folder: Path) -> Find:
    """The library's way to boxes by Grounding DINO."""
    network = transformers.GroundingDinoForObjectDetection.from_pretrained(folder).eval()
    images = transformers.GroundingDinoImageProcessorPil()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    processor = transformers.GroundingDinoProcessor(images, tokenizer)

    def find(image: np.ndarray) -> Any:
        given = tokenizer(" ".join(f"{t}." for t in TEXTS), return_tensors="pt")
        out = network(**given, **images(image, return_tensors="pt"))
        return processor.post_process_grounded_object_detection(
            out, given["input_ids"], threshold=0.01, text_threshold=0.01, target_sizes=[image.shape[:2]]
        )

    return find


def main() -> None:
    frames = next((int(a) for a in sys.argv[1:] if a.isdigit()), 20)
    rng = np.random.default_rng(0)
    video = rng.integers(0, 255, (frames + 1, 480, 640, 3), dtype=np.uint8)
    table = Table(title=f"640 x 480, {torch.get_num_threads()} thread(s), CPU ms a frame")
    for column in ("detector", "library", "vtlab", "vtlab of library"):
        table.add_column(column, justify="left" if column == "detector" else "right")
    for name, save, theirs in (
        ("owlv2", detectors.owlv2, owlv2),
        ("grounding-dino", detectors.grounding_dino, grounding_dino),
    ):
        with tempfile.TemporaryDirectory() as place, torch.inference_mode():
            folder = save(Path(place))
            ours = DETECTORS.create(name, model=folder, texts=TEXTS, confidence=0.01, device="cpu")
            ways: tuple[Find, Find] = theirs(folder), lambda image, d=ours: d.detect([image])
            spent = np.zeros((2, frames + 1))
            for t, image in enumerate(video):
                for way, find in enumerate(ways):
                    begun = time.process_time()
                    found = find(image)
                    spent[way, t] = 1000 * (time.process_time() - begun)
                    assert found
        library, own = np.median(spent[:, 1:], axis=1)  # the first frame warms up
        table.add_row(name, f"{library:.1f}", f"{own:.1f}", f"{own / library:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
