"""What plug-ins answer is checked as it comes: a fault is named with plug-in, frame, value, remedy; no frame is lost."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import supervision as sv

import vtlab
from vtlab.association.parts.reid import make_embedder
from vtlab.contracts import (
    Associator,
    Detector,
    Observation,
    OfflineTracker,
    OnlineTracker,
    Part,
    SingleObjectTracker,
)
from vtlab.contracts.parts import associate, detect, embed, segment
from vtlab.detectors.recorded import record
from vtlab.errors import AnswerError, RegistryError, TrackingError
from vtlab.registry import Card
from vtlab.segmenters import create_segmenter
from vtlab.testing import check_associator, check_detector, check_segmenter
from vtlab.testing.scenes import moving_square
from vtlab.tracks import FrameTracks
from vtlab.video import Frame, open_video

IMAGE = moving_square(1)[0]
FRAME = Frame(7, 0.28, IMAGE)
SIZE = IMAGE.shape[:2]
BOXES = np.array([[10.0, 10, 30, 40], [50, 50, 90, 90]])
LATE = 50


def changed(**changes):
    """A sound answer with one column replaced."""
    sound = FrameTracks.of([1], [[10.0, 10, 30, 40]])
    fields = {name: getattr(sound, name) for name in FrameTracks.__dataclass_fields__}
    return FrameTracks(**{**fields, **changes})


def two(ids):
    return FrameTracks.of([1, 2], BOXES, masks=None) if ids is None else changed_two(ids)


def changed_two(ids):
    sound = FrameTracks.of([1, 2], BOXES)
    fields = {name: getattr(sound, name) for name in FrameTracks.__dataclass_fields__}
    return FrameTracks(**{**fields, "object_ids": np.asarray(ids)})


WRONG_FRAMES = {
    "infinite": (changed(boxes=np.array([[10.0, 10, np.inf, 40]])), "inf"),
    "inverted": (changed(boxes=np.array([[30.0, 10, 10, 40]])), "30.0, 10.0, 10.0"),
    "shape": (changed(boxes=np.array([[10.0, 10, 30]])), r"shape \(1, 3\)"),
    "text": ("here", "str 'here'"),
    "twice": (two([1, 1]), "object 1 twice"),
    "huge": (two(np.array([1, 2**64 - 1], np.uint64)), "object_ids uint64"),
    "not a number": (changed(boxes=np.full((1, 4), np.nan)), "visible, with the box"),
    "score": (changed(scores=np.array([5.0])), "score 5.0"),
    "nothing": (None, "NoneType None"),
    "tuple": (((1, 2), 3), "tuple"),
}
WRONG_OBSERVATIONS = {
    "infinite": (Observation((10.0, 10, np.inf, 40)), "inf"),
    "inverted": (Observation((30.0, 10, 10, 40)), "30.0, 10.0, 10.0"),
    "shape": (Observation((10.0, 10, 30)), "10.0, 10, 30"),
    "text": (Observation("here"), "here"),
    "three floats": (Observation((10.0, 10.0, 30.0)), "10.0, 10.0, 30.0"),
    "beyond any float": (Observation((10.0, 10.0, 10**400, 40.0)), "needs a box"),
    "text in an edge": (Observation(("a", 1, 2, 3)), "'a', 1, 2, 3"),
    "not a number": (Observation((np.nan,) * 4), "visible, with the box"),
    "nowhere": (Observation(None), "visible, with the box"),
    "mask of numbers": (Observation(mask=np.full(SIZE, 255, np.uint8)), "uint8"),
    "score": (Observation((10.0, 10, 30, 40), 5), "int 5"),
    "no score": (Observation((10.0, 10, 30, 40), "high"), "'high'"),
    "visible": (Observation((10.0, 10, 30, 40), 1, "False"), "'False'"),
    "tuple": ((10.0, 10, 30, 40), "tuple"),
}


class Online(OnlineTracker):
    """Answers soundly until a frame."""

    card = Card("mine", "mot")

    def __init__(self, wrong):
        self.wrong = wrong

    def init(self, frame, prompts):
        return self.step(frame)

    def step(self, frame, prompts=None):
        return self.wrong if frame.index == LATE else changed()

    def remove(self, object_ids):
        pass


class Offline(OfflineTracker):
    card = Card("mine", "mot")

    def __init__(self, wrong):
        self.wrong = wrong

    def run(self, frames, prompts, n_frames):
        for frame in frames:
            yield frame.index, self.wrong if frame.index == LATE else changed()


class Single(SingleObjectTracker):
    card = Card("mine", "sot", accepts=frozenset({vtlab.BoxPrompt}))

    def __init__(self, *, wrong=None):
        self.wrong = wrong

    def init(self, frame, prompt):
        return None

    def step(self, frame):
        return self.wrong if frame.index == LATE else Observation((10.0, 10, 30, 40))


class Finds(Detector):
    card = Card("my-detector", "detector")

    def __init__(self, *late):
        self.late = late[0] if late else self  # itself: sound to the end

    def detect(self, frames):
        return [sv.Detections(xyxy=BOXES.copy(), confidence=np.ones(2)) for _ in frames]

    def detect_frame(self, frame):
        return self.late if frame.index == LATE and self.late is not self else super().detect_frame(frame)


class Gives(Associator):
    card = Card("my-associator", "associator")

    def __init__(self, late=None):
        self.late = ()
        self.answer = late

    def reset(self):
        pass

    def update(self, detections, frame):
        if frame.index == LATE:
            return self.answer
        return identified(detections.xyxy, [1, 2])


def identified(boxes, ids):
    return sv.Detections(xyxy=np.asarray(boxes, float), tracker_id=np.asarray(ids))


VIDEO = np.repeat(moving_square(1), LATE + 3, axis=0)


def fails(tracker, match, prompts=None, **params):
    """The run ends on the late frame with an error that names who, where and what, and keeps the frames before."""
    with pytest.raises(TrackingError, match=match) as caught:
        vtlab.track(VIDEO, prompts, tracker, progress=False, **params)
    assert caught.value.frame == LATE
    begin = int(caught.value.tracks.frames[0])  # an associator may wait a frame before it names an object
    assert begin in (0, 1)
    assert caught.value.tracks.frames.tolist() == list(range(begin, LATE))
    assert f"frame {LATE}" in str(caught.value)
    assert "Remedy" in str(caught.value)


@pytest.mark.parametrize("shape", [Online, Offline])
@pytest.mark.parametrize("kind", WRONG_FRAMES)
def test_trackers_of_all_objects(shape, kind):
    answer, match = WRONG_FRAMES[kind]
    fails(shape(answer), f"'mine'.*{match}")


@pytest.mark.parametrize("kind", WRONG_OBSERVATIONS)
def test_trackers_of_one_object(kind):
    answer, match = WRONG_OBSERVATIONS[kind]
    fails(Single, f"'mine'.*{match}", vtlab.BoxPrompt((10, 10, 30, 40)), wrong=answer)


def spoiled(boxes=None, scores=None):
    """Detections that supervision itself would refuse to make."""
    found = sv.Detections(xyxy=BOXES.copy(), confidence=np.array([0.5, 0.5]))
    found.xyxy[0] = boxes if boxes is not None else found.xyxy[0]
    found.confidence[1] = scores if scores is not None else 0.5
    return found


WRONG_DETECTIONS = {
    "infinite": (spoiled([10.0, 10, np.inf, 40]), "inf"),
    "inverted": (sv.Detections(xyxy=np.array([[30.0, 10, 10, 40]])), "30.0, 10.0, 10.0"),
    "not a number": (spoiled([np.nan] * 4), "nan"),
    "score": (spoiled(scores=5), "score 5.0"),
    "no score": (spoiled(scores=np.nan), "score nan"),
    "nothing": (None, "NoneType None"),
    "tuple": ((BOXES, [1, 1]), "tuple"),
    "list": ([sv.Detections.empty()], "list"),
    "text": ("here", "str 'here'"),
}
WRONG_IDENTITIES = {
    "nothing": (None, "NoneType None"),
    "fewer": (identified(BOXES[:1], [1]), "1 rows for 2 detections"),
    "order": (identified(BOXES[::-1], [1, 2]), "the same order"),
    "twice": (identified(BOXES, [1, 1]), "id 1 twice"),
    "fractions": (identified(BOXES, [1.0, 2.5]), "float64"),
    "none": (sv.Detections(xyxy=BOXES), "tracker_id"),
}


@pytest.mark.parametrize("kind", WRONG_DETECTIONS)
def test_detectors(kind):
    answer, match = WRONG_DETECTIONS[kind]
    fails("bytetrack", f"detector 'my-detector'.*{match}", detector=Finds(answer))


@pytest.mark.parametrize("kind", WRONG_IDENTITIES)
def test_associators(kind):
    answer, match = WRONG_IDENTITIES[kind]
    tracker = vtlab.create_tracker("bytetrack", detector=Finds())
    tracker._associator = Gives(answer)
    fails(tracker, f"associator 'my-associator'.*{match}")


WRONG_MASKS = {
    "numbers": ((np.full(SIZE, 255, np.uint8), 1.0), r"uint8 array .*mask > 0"),
    "fractions": ((np.full(SIZE, 0.5), 1.0), "float64"),
    "size": ((np.zeros((4, 4), bool), 1.0), r"shape \(4, 4\)"),
    "score": ((np.zeros(SIZE, bool), 5), "score 5"),
    "no score": ((np.zeros(SIZE, bool), np.nan), "nan"),
    "list": ([np.zeros(SIZE, bool), 1.0], "list"),
    "nothing": (None, "NoneType None"),
}
WRONG_VECTORS = {
    "one row": (np.ones((1, 4)) / 2, "1 vectors for 2 boxes"),
    "one vector": (np.ones(4) / 2, r"shape \(4,\)"),
    "not a number": (np.full((2, 4), np.nan), "NaN or infinite"),
    "long": (np.full((2, 4), 3.0), "length 6"),
    "whole numbers": (np.eye(2, dtype=np.int64), "int64"),
    "text": (np.array([["a"], ["b"]]), "<U1"),
    "nothing": (None, "NoneType None"),
}


class Makes:
    """A segmenter and an embedder that give one answer."""

    threshold = 0.5

    def __init__(self, answer):
        self.answer = answer

    def segment(self, image, *, box=None, points=None, positive=None):
        return self.answer

    def embed(self, image, boxes):
        return self.answer


@pytest.mark.parametrize("kind", WRONG_MASKS)
def test_segmenters(kind):
    answer, match = WRONG_MASKS[kind]
    with pytest.raises(AnswerError, match=f"segmenter 'Makes'.*frame 7 .*{match}"):
        segment(Makes(answer), IMAGE, box=BOXES[0], frame=7)
    prompt = vtlab.BoxPrompt((10, 10, 30, 40), frame=2)
    with pytest.raises(AnswerError, match=f"segmenter 'Makes'.*frame 2 .*{match}"):
        vtlab.track(VIDEO, prompt, "flow", segmenter=Makes(answer), progress=False)


@pytest.mark.parametrize("kind", WRONG_VECTORS)
def test_embedders(kind):
    answer, match = WRONG_VECTORS[kind]
    with pytest.raises(AnswerError, match=f"embedder 'Makes'.*frame 7 .*{match}.*Remedy"):
        embed(Makes(answer), IMAGE, BOXES, frame=7)
    with pytest.raises(AnswerError, match=f"embedder 'Makes'.*frame 0 .*{match}"):
        vtlab.track(VIDEO, None, "deepsort", detector=Finds(), embedder=Makes(answer), progress=False)


def test_vectors_keep_their_length_and_sound_answers_pass():
    assert len(embed(Makes(np.eye(2)), IMAGE, BOXES)) == 2
    assert len(embed(Makes(np.zeros((0, 1))), IMAGE, BOXES[:0], width=9)) == 0
    assert len(embed(Makes(np.zeros((2, 3), np.float32)), IMAGE, BOXES, width=3)) == 2
    with pytest.raises(AnswerError, match="vectors of 2 numbers, earlier ones had 3"):
        embed(Makes(np.eye(2)), IMAGE, BOXES, width=3)
    assert segment(Makes((np.ones(SIZE, bool), np.float32(0.5))), IMAGE, box=BOXES[0])[1] == 0.5
    assert len(detect(Finds(), FRAME)) == 2
    assert len(associate(Gives(), sv.Detections(xyxy=BOXES), FRAME)) == 2


@pytest.mark.parametrize("answer", [None, (), [], [sv.Detections.empty()] * 2])
def test_a_detector_answers_each_image(answer):
    class Odd(Finds):
        def detect(self, frames):
            return answer

    with pytest.raises(AnswerError, match=r"'my-detector' answered one image, frame 7, with a .*Remedy"):
        detect(Odd(), FRAME)


def find_two(image):
    return BOXES


def see_half(image, box=None, points=None, positive=None):
    return np.arange(image.shape[1])[None] + np.zeros((image.shape[0], 1)) < 40


def describe(image, boxes):
    return np.arange(1, 1 + 3 * len(boxes), dtype=np.float64).reshape(-1, 3)


def test_a_function_is_a_detector_an_embedder_a_segmenter():
    tracks = vtlab.track(VIDEO[:8], None, "deepsort", detector=find_two, embedder=describe, progress=False)
    assert len(tracks.object_ids) == 2
    assert tracks.meta["tracker"]["params"]["detector"].endswith("test_answers.find_two")
    masks = vtlab.track(
        VIDEO[:3], vtlab.BoxPrompt((10, 10, 30, 40)), "flow", segmenter=see_half, progress=False
    )
    assert masks.at(0).boxes.tolist() == [[0, 0, 40, SIZE[0]]]
    assert create_segmenter(see_half).segment(IMAGE, box=BOXES[0])[1] == 1.0
    vectors = make_embedder(describe).embed(IMAGE, BOXES)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert {r.state for r in check_segmenter(see_half)} == {"pass"}
    assert {r.state for r in check_detector(find_two)} == {"pass", "skip"}  # it gives no masks


def test_a_function_that_answers_wrongly_is_named():
    def hopeless(*args, **kwargs):
        return None

    with pytest.raises(AnswerError, match=r"'callable' \(.*hopeless\) answered on frame 0 with NoneType"):
        vtlab.track(VIDEO, None, "sort", detector=hopeless, progress=False)
    with pytest.raises(AnswerError, match=r"'callable' \(.*hopeless\) answered on frame 0 with NoneType"):
        vtlab.track(VIDEO, vtlab.BoxPrompt((10, 10, 30, 40)), "flow", segmenter=hopeless, progress=False)
    with pytest.raises(AnswerError, match=r"'CallableEmbedder' \(.*hopeless\) answered on frame 0 with None"):
        vtlab.track(VIDEO, None, "deepsort", detector=find_two, embedder=hopeless, progress=False)
    assert "fail" in {r.state for r in check_detector(hopeless)}
    assert "fail" in {r.state for r in check_segmenter(hopeless)}


def test_what_a_function_found_is_not_taken_for_what_another_finds(tmp_path):
    video = open_video(VIDEO[:2])
    first = record(video, lambda image: BOXES[:1], tmp_path)
    second = record(video, lambda image: BOXES, tmp_path)
    assert len(first.at(0)) == 1
    assert len(second.at(0)) == 2


def test_the_conformance_kit_asks_by_the_same_checks():
    results = check_associator(type("Own", (Gives,), {"update": lambda self, d, f: d}))
    assert any("tracker_id" in r.why for r in results if r.state == "fail")


def test_a_class_without_a_card_is_told_its_decorator():
    class Mine(Part):
        pass

    for registry in ("detector", "segmenter"):
        from vtlab.registry import REGISTRIES

        kind = next(r for r in REGISTRIES if r.kind == registry)
        with pytest.raises(RegistryError, match=f"@vtlab.register_{registry}"):
            kind.create(Mine)


@pytest.mark.parametrize(
    ("name", "parameter"), [("callable", "function"), ("public", "path"), ("yolo-onnx", "path")]
)
def test_a_part_without_its_parameter_says_which(name, parameter):
    with pytest.raises(RegistryError, match=f"detector '{name}' needs the parameter '{parameter}'.*Remedy"):
        vtlab.create_tracker("bytetrack", detector=name)


def test_a_file_imports_what_lies_beside_it(tmp_path):
    (tmp_path / "beside_it.py").write_text("BOX = [[10.0, 10, 30, 40]]")
    (tmp_path / "mine.py").write_text(
        "import numpy as np\nfrom beside_it import BOX\n\ndef find(image):\n    return np.array(BOX)\n"
    )
    tracks = vtlab.track(VIDEO[:5], None, "sort", detector=f"{tmp_path / 'mine.py'}:find", progress=False)
    assert len(tracks)


def test_a_neighbour_of_another_folder_is_not_taken_for_ones_own(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same_name.py").write_text(f"WHO = {folder!r}")
        (tmp_path / folder / "mine.py").write_text("import same_name\n\ndef find(image):\n    return []\n")
    vtlab.create_tracker("sort", detector=f"{tmp_path / 'a' / 'mine.py'}:find")
    with pytest.raises(RegistryError, match=r"imports 'same_name', which lies beside it, but .*Remedy"):
        vtlab.create_tracker("sort", detector=f"{tmp_path / 'b' / 'mine.py'}:find")


def test_parts_are_asked_by_their_checks_alone():
    """Nobody calls a detector, an associator, a segmenter or an embedder of others directly."""
    asked = {"detect_frame", "segment", "embed", "update"}
    own = ("contracts/", "testing/streams.py", "testing/segmenters.py", "testing/associators.py", "nets/")
    root = Path(vtlab.__file__).parent
    wrong = []
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root).as_posix()
        if place.startswith(own):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in asked
            ):
                whom = ast.unparse(node.func.value)
                if any(w in whom for w in ("detector", "segmenter", "embedder", "associator")):
                    wrong.append(f"{place}:{node.lineno} {ast.unparse(node.func)}")
    assert not wrong, wrong
