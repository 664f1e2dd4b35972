"""SAM 2 against the package's own video predictor, and what the predictor can't do; seeded weights, small frames."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
pytest.importorskip("sam2", reason="the package sam2 is not installed: pip install 'vtlab[sam2]'")

import vtlab  # noqa: E402
from vtlab import masks  # noqa: E402
from vtlab.errors import InputError, WeightsError  # noqa: E402
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, Prompts  # noqa: E402
from vtlab.segmenters import create_segmenter  # noqa: E402
from vtlab.testing.seeded import masks as seeded  # noqa: E402
from vtlab.video import Frame  # noqa: E402

VARIANT, SIDE, HEIGHT, WIDTH = "sam2.1-tiny", 128, 120, 160
OPTIONS = {"image_size": SIDE, "device": "cpu"}


@pytest.fixture(scope="module")
def network():
    """Random weights under which objects appear, and masks are neither empty nor everything."""
    return seeded.sam2(VARIANT, SIDE)


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory) -> Path:
    """A file as the official ones: the state dict under "model"."""
    path = tmp_path_factory.mktemp("weights") / "sam2.1_hiera_tiny.pt"
    torch.save({"model": network.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> tuple[Path, list[np.ndarray]]:
    """A folder of 40 JPEG files, which is what the package reads, and the images in them."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("frames")
    ground = np.random.default_rng(0).integers(0, 255, (20, 30, 3))
    ground = np.kron(ground, np.ones((8, 8, 1))).astype(np.uint8)
    for i in range(40):
        image = np.roll(ground, (i, 2 * i), (0, 1))[:HEIGHT, :WIDTH]
        Image.fromarray(image).save(folder / f"{i:05d}.jpg", quality=95)
    return folder, [np.array(Image.open(folder / f"{i:05d}.jpg")) for i in range(40)]


@pytest.fixture
def doubles():
    """New numbers are in double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def doubled(network):
    """The network, computing in double precision.

    Memories are kept in bfloat16. In float32 two equally good orders of summation round some of their elements to
    different neighbours, and random weights enlarge that to more than 1e-4, on one processor and not on another.
    """
    network.double()
    network.sam_prompt_encoder.pe_layer.float()  # the package computes it in float32
    for part in (
        network.image_encoder,
        network.memory_encoder.mask_downsampler,
        network.sam_prompt_encoder.mask_downscaling,
        network.mask_downsample,
    ):
        part.register_forward_pre_hook(lambda _, inputs: tuple(x.double() for x in inputs))
    return network


@pytest.fixture(scope="module")
def predictor(network):
    """The package's own video predictor with the same settings and weights, in double precision."""
    return doubled(seeded.sam2_predictor(VARIANT, network))


def propagate(predictor, state, start: int, stop: int) -> dict[int, dict[int, np.ndarray]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        steps = predictor.propagate_in_video(
            state, start_frame_idx=start, max_frame_num_to_track=stop - 1 - start
        )
        return {t: {i: logits[k, 0].numpy() for k, i in enumerate(ids)} for t, ids, logits in steps}


def streamed(checkpoint, images, prompts: Prompts, **options):
    """Logits at the frames' size and masks of vtlab's tracker in double precision, by frame and object."""
    tracker = vtlab.create_tracker(VARIANT, weights=checkpoint, overlap=True, **OPTIONS, **options)
    doubled(tracker._network)
    inner, seen = tracker._inference.__class__.step, {}

    def step(core, *now):
        result = inner(core, *now)
        seen[core.time] = result
        return result

    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracker._inference.__class__, "step", step)
        for t, image in enumerate(images):
            frame, now = Frame(t, t / 25, image), prompts.at(t)
            answer = tracker.init(frame, now) if t == 0 else tracker.step(frame, now)
            found[t] = dict(zip(answer.object_ids.tolist(), answer.masks, strict=True))
    size = images[0].shape[:2]
    logits = {
        t: {
            i: torch.nn.functional.interpolate(r.logits[None, None], size, mode="bilinear")[0, 0].numpy()
            for i, r in results.items()
        }
        for t, results in seen.items()
    }
    return logits, found


@pytest.mark.parametrize(
    ("added", "corrected", "end"), [(3, 6, 25), pytest.param(10, 20, 40, marks=pytest.mark.slow)]
)
@pytest.mark.usefixtures("doubles")
@torch.inference_mode()
def test_the_same_as_the_packages_predictor(checkpoint, predictor, frames, added, corrected, end):
    """Two objects, one added on a later frame, one corrected; beyond the 16 frames whose pointers are remembered."""
    folder, images = frames
    state = predictor.init_state(str(folder))
    predictor.add_new_points_or_box(state, 0, 1, box=np.array([20, 20, 80, 90], np.float32))
    expected = propagate(predictor, state, 0, added)
    predictor.add_new_points_or_box(
        state, added, 2, points=np.array([[100, 60]], np.float32), labels=np.array([1])
    )
    expected |= propagate(predictor, state, added, corrected + 1)
    predictor.add_new_points_or_box(
        state, corrected, 1, points=np.array([[50, 50], [10, 10]], np.float32), labels=np.array([1, 0])
    )
    expected |= propagate(predictor, state, corrected, end)

    prompts = Prompts(
        [
            BoxPrompt((20.5, 20.5, 80.5, 90.5)),
            ClickPrompt(((100.5, 60.5),), object_id=2, frame=added),
            ClickPrompt(((50.5, 50.5), (10.5, 10.5)), (True, False), frame=corrected),
        ]
    )
    logits, found = streamed(checkpoint, images[:end], prompts)
    areas = []
    for t in range(end):
        assert set(found[t]) == set(expected[t]) == ({1} if t < added else {1, 2})
        for i, truth in expected[t].items():
            np.testing.assert_allclose(logits[t][i], truth, atol=1e-4, err_msg=f"frame {t}, object {i}")
            np.testing.assert_array_equal(found[t][i], truth > 0, err_msg=f"frame {t}, object {i}")
            areas.append(found[t][i].mean())
    assert 0.01 < np.median(areas) < 0.9


@pytest.mark.usefixtures("doubles")
@torch.inference_mode()
def test_masks_as_prompts_and_backward(checkpoint, predictor, frames):
    """Mask prompts, one of them late; the package tracks in reverse, vtlab gets the frames in reverse."""
    folder, images = frames
    given = np.zeros((HEIGHT, WIDTH), bool)
    given[30:80, 40:100] = True
    state = predictor.init_state(str(folder))
    predictor.add_new_mask(state, 6, 1, given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        steps = list(predictor.propagate_in_video(state, start_frame_idx=6, reverse=True))
    expected = {6 - t: logits[0, 0].numpy() for t, _, logits in steps}
    logits, found = streamed(checkpoint, images[6::-1], Prompts(MaskPrompt.of(given)))
    for t, truth in expected.items():
        np.testing.assert_allclose(logits[t][1], truth, atol=1e-4)
        np.testing.assert_array_equal(found[t][1], truth > 0)


@pytest.mark.usefixtures("doubles")
def test_batches_answer_as_single_objects(checkpoint, frames):
    boxes = [BoxPrompt((10 + 30 * k, 20, 50 + 30 * k, 80), object_id=k + 1) for k in range(3)]
    together, _ = streamed(checkpoint, frames[1][:4], Prompts(boxes))
    parts, _ = streamed(checkpoint, frames[1][:4], Prompts(boxes), batch=2)
    alone, _ = streamed(checkpoint, frames[1][:4], Prompts(boxes[1]))
    for t in range(4):
        np.testing.assert_allclose(together[t][2], alone[t][2], atol=1e-4)
        np.testing.assert_allclose(together[t][3], parts[t][3], atol=1e-4)


def test_memory_holds_what_is_in_reach(checkpoint, frames):
    tracker = vtlab.create_tracker(VARIANT, weights=checkpoint, max_prompted=2, **OPTIONS)
    seeded.shrink(tracker._network)
    image = frames[1][0]
    tracker.init(Frame(0, 0.0, image), Prompts(BoxPrompt((20, 20, 80, 90))))
    for t in range(1, 24):
        box = BoxPrompt((20, 20, 80, 90), frame=t)
        tracker.step(Frame(t, t / 25, image), Prompts(box) if t in (3, 4, 5) else Prompts())
    target = tracker._inference.objects[1]
    assert target.rule.prompted == [4, 5]
    assert sorted(target.entries) == [4, 5, *range(9, 24)]
    assert [t for t, e in target.entries.items() if e.memory is not None] == [4, 5, *range(18, 24)]
    tracker.remove([1])
    assert len(tracker.step(Frame(24, 1.0, image))) == 0


@pytest.mark.parametrize("memory", ["d4sm", "samurai"])
def test_rules_of_memory(checkpoint, memory):
    """Two objects, one that comes later and is corrected; the first choice is SAM 2's own; memory stays bounded."""
    options = {"weights": checkpoint, "overlap": True, **OPTIONS}
    tracker = vtlab.create_tracker(f"sam2.1-tiny-{memory}", **options)
    plain = vtlab.create_tracker("sam2.1-tiny", **options)
    assert tracker.params["memory"] == memory
    for made in (tracker, plain):
        seeded.shrink(made._network)
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    first = Prompts(BoxPrompt((10, 10, 40, 40)))
    tracker.init(Frame(0, 0.0, image), first)
    plain.init(Frame(0, 0.0, image), first)
    one, other = tracker.step(Frame(1, 0.04, image)), plain.step(Frame(1, 0.04, image))
    np.testing.assert_array_equal(one.masks, other.masks)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
    for t in range(2, 22):
        box = BoxPrompt((4, 4, 30, 30), object_id=2, frame=t)
        answer = tracker.step(Frame(t, t / 25, image), Prompts(box) if t in (3, 9) else Prompts())
        assert answer.object_ids.tolist() == ([1, 2] if t > 2 else [1])
    for own in tracker._inference.objects.values():
        held = [e for e in own.entries.values() if isinstance(e.memory, torch.Tensor)]
        assert len(held) <= 9
        assert len(own.entries) <= 26
    assert tracker._inference.objects[2].rule.prompted == [3, 9]
    tracker.remove([1])
    assert tracker.step(Frame(22, 1.0, image)).object_ids.tolist() == [2]


def test_a_checkpoint_of_another_variant(network, tmp_path):
    state = {k: v for k, v in network.state_dict().items() if k != "no_obj_embed_spatial"}
    torch.save({"model": state}, tmp_path / "sam2_hiera_tiny.pt")
    with pytest.raises(WeightsError, match="1 missing .first: no_obj_embed_spatial.*checkpoint of sam2-tiny"):
        vtlab.create_tracker(VARIANT, weights=tmp_path / "sam2_hiera_tiny.pt", **OPTIONS)


@pytest.mark.parametrize(
    "options", [{"image_size": 100}, {"dtype": "int8"}, {"batch": 0}, {"max_prompted": 0}]
)
def test_options_are_checked(checkpoint, options):
    with pytest.raises(InputError):
        vtlab.create_tracker(VARIANT, weights=checkpoint, **{**OPTIONS, **options})


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_runs(checkpoint, frames, dtype):
    tracks = vtlab.track(
        np.stack(frames[1][:3]),
        BoxPrompt((20, 20, 80, 90)),
        VARIANT,
        weights=checkpoint,
        dtype=dtype,
        progress=False,
        **OPTIONS,
    )
    assert len(tracks) == 3


@pytest.fixture(scope="module")
def segmenter(checkpoint):
    return create_segmenter(VARIANT, weights=checkpoint, **OPTIONS)


class TestSegmenter:
    """The image model as a segmenter."""

    def test_three_masks_for_a_click(self, segmenter, frames):
        found, scores = segmenter.propose(frames[1][0], points=[(60, 50)])
        assert found.shape == (3, HEIGHT, WIDTH)
        assert ((scores >= 0) & (scores <= 1)).all()
        mask, score = segmenter.segment(frames[1][0], points=[(60, 50)])
        np.testing.assert_array_equal(mask, found[scores.argmax()])
        assert score == scores.max()

    def test_as_the_first_frame_of_the_video_model(self, segmenter, checkpoint, frames):
        """Both scale frames by filters of their own, which is all that differs."""
        box = (20.0, 20.0, 80.0, 90.0)
        mask, _ = segmenter.segment(frames[1][0], box=box, points=[(50, 50)], positive=[True])
        _, found = streamed(checkpoint, frames[1][:1], Prompts(ClickPrompt(((50, 50),), (True,), box)))
        assert masks.iou(mask, found[0][1]) > 0.9

    def test_the_last_image_is_kept(self, segmenter, frames):
        segmenter.segment(frames[1][0], box=(10, 10, 60, 60))
        before = segmenter._seen[1]
        segmenter.segment(frames[1][0].copy(), box=(20, 10, 60, 60))
        assert segmenter._seen[1] is before
        segmenter.segment(frames[1][1], box=(20, 10, 60, 60))
        assert segmenter._seen[1] is not before

    def test_clicks_in_the_annotator(self, segmenter, frames, tmp_path):
        anywidget = pytest.importorskip(
            "anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'"
        )
        annotator = vtlab.annotate(np.stack(frames[1][:3]), autosave=tmp_path / "p.json", segmenter=segmenter)
        assert isinstance(annotator, anywidget.AnyWidget)
        annotator.act({"do": "click", "x": 50, "y": 50})
        (first,) = annotator.prompts
        expected, _ = segmenter.segment(frames[1][0], points=[(50, 50)])
        np.testing.assert_array_equal(first.mask(HEIGHT, WIDTH), expected)
        shown = annotator.mask
        annotator.act({"do": "click", "x": 20, "y": 20, "positive": False})
        (second,) = annotator.prompts
        both, _ = segmenter.segment(frames[1][0], points=[(50, 50), (20, 20)], positive=[True, False])
        np.testing.assert_array_equal(second.mask(HEIGHT, WIDTH), both)
        assert second != first
        assert annotator.mask != shown
        annotator.act({"do": "undo"})
        assert annotator.prompts == Prompts(first)
        annotator.act({"do": "go", "frame": 2})
        annotator.act({"do": "box", "xyxy": [30, 30, 90, 90]})
        annotator.act({"do": "click", "x": 60, "y": 60})
        inside, _ = segmenter.segment(frames[1][2], box=(30, 30, 90, 90), points=[(60, 60)])
        np.testing.assert_array_equal(annotator.prompts.at(2)[0].mask(HEIGHT, WIDTH), inside)
        assert Prompts.load(tmp_path / "p.json") == annotator.prompts

    def test_bad_input(self, segmenter, frames):
        with pytest.raises(InputError, match="box or at least one click"):
            segmenter.segment(frames[1][0])
        with pytest.raises(InputError, match="outside the image"):
            segmenter.segment(frames[1][0], points=[(500, 3)])
