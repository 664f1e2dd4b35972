"""EdgeTAM and SAM 2 through transformers, with random weights: against the library with all of its memory."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
pytest.importorskip("transformers", reason="transformers is not installed: pip install 'vtlab[transformers]'")

import vtlab  # noqa: E402
from vtlab.errors import WeightsError  # noqa: E402
from vtlab.prompts import BoxPrompt, MaskPrompt, Prompts  # noqa: E402
from vtlab.testing.seeded.masks import lacking, options  # noqa: E402
from vtlab.video import Frame  # noqa: E402

METHODS = ("sam2.1-tiny-transformers", "edgetam")
VIDEO = np.random.default_rng(0).integers(0, 255, (18, 60, 90, 3), dtype=np.uint8)
PROMPTS = Prompts(
    [
        MaskPrompt(polygon=((10, 10), (40, 10), (40, 40), (10, 40))),
        BoxPrompt((50, 10, 80, 50), object_id=2, frame=12),
    ]
)


@pytest.fixture(scope="module", params=METHODS)
def made(request, tmp_path_factory):
    """A method, and parameters with a folder as the hub has it."""
    if lacking(request.param):
        pytest.skip(f"{request.param} needs the package {lacking(request.param)}")
    return request.param, options(request.param, tmp_path_factory.mktemp("weights"))


def masks(tracker) -> list[np.ndarray]:
    found = []
    for t, image in enumerate(VIDEO):
        frame, now = Frame(t, t / 25, image), PROMPTS.at(t)
        answer = tracker.step(frame, now) if t else tracker.init(frame, now)
        found.extend(answer.masks)
    return found


def test_what_is_out_of_reach_is_removed_and_changes_no_mask(made):
    method, params = made
    tracker, keeper = (vtlab.create_tracker(method, **params) for _ in range(2))
    keeper._forget = lambda: None
    found = masks(tracker)
    assert len(found) == 18 + 6
    assert 0.01 < np.mean(found) < 0.9
    np.testing.assert_array_equal(found, masks(keeper))
    session = tracker._session
    for k, (prompted, oldest) in enumerate(((0, 3), (12, 13))):
        outputs = session.output_dict_per_obj[k]
        assert list(outputs["cond_frame_outputs"]) == [prompted]
        assert list(outputs["non_cond_frame_outputs"]) == list(range(oldest, 18))
        assert not {"pred_masks", "high_res_masks"} & outputs["non_cond_frame_outputs"][17].keys()
    assert not session.processed_frames
    assert len(keeper._session.processed_frames) == 18


def test_a_folder_that_does_not_fit(made, tmp_path):
    method, params = made
    with pytest.raises(WeightsError, match=r"There is no .*config\.json"):
        vtlab.create_tracker(method, weights=tmp_path)
    from safetensors.torch import load_file, save_file

    (tmp_path / "config.json").write_text((params["weights"] / "config.json").read_text())
    tensors = load_file(params["weights"] / "model.safetensors")
    name = next(name for name in tensors if name.startswith("memory_encoder"))
    save_file(tensors | {name: torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(
        WeightsError, match=rf"does not fit.*1 of another shape .*{name} has shape .3,., expected"
    ):
        vtlab.create_tracker(method, weights=tmp_path)
