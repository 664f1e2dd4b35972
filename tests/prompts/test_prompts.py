"""Prompts: what is valid, what is refused and how it is said, and the JSON round trip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtlab.errors import FormatError, PromptError
from vtlab.prompts import (
    BoxPrompt,
    ClickPrompt,
    MaskPrompt,
    PointPrompt,
    Prompts,
    SkeletonPrompt,
    TextPrompt,
)

ids = st.integers(1, 10**6)
frames = st.integers(0, 10**6)
number = st.floats(-1e4, 1e4, allow_nan=False)
labels = st.none() | st.text(max_size=8)


@st.composite
def box_prompts(draw):
    x, y, w, h = draw(number), draw(number), draw(st.floats(0.5, 1e3)), draw(st.floats(0.5, 1e3))
    return BoxPrompt((x, y, x + w, y + h), draw(st.floats(-3, 3)), object_id=draw(ids), frame=draw(frames))


@st.composite
def point_prompts(draw):
    points = draw(st.lists(st.tuples(number, number), min_size=3, max_size=6))
    shape = draw(st.sampled_from(["points", "polyline", "polygon"]))
    return PointPrompt(tuple(points), shape, object_id=draw(ids), frame=draw(frames))


@st.composite
def mask_prompts(draw):
    bits = draw(st.lists(st.booleans(), min_size=12, max_size=12).filter(any))
    return MaskPrompt.of(np.reshape(bits, (3, 4)), object_id=draw(ids), frame=draw(frames), label="x")


@given(
    st.lists(
        box_prompts() | point_prompts() | mask_prompts(),
        max_size=6,
        unique_by=lambda p: (p.object_id, p.kind),
    )
)
def test_json_round_trip_is_the_identity(items):
    prompts = Prompts(items)
    assert Prompts.from_json(prompts.to_json()) == prompts


def test_every_kind_survives_a_file(tmp_path):
    prompts = Prompts(
        [
            BoxPrompt((1, 2, 30, 40), object_id=1, label="car"),
            MaskPrompt(polygon=((1, 1), (5, 1), (5, 9)), object_id=2, frame=3),
            ClickPrompt(((3, 4), (9, 9)), (True, False), (0, 0, 10, 10), object_id=3),
            SkeletonPrompt(((1, 2), (3, 4)), ("head", "tail"), ((0, 1),), (False, True), object_id=4),
            TextPrompt(" yellow taxi ", object_id=5, frame=2, label="cab"),
        ]
    )
    path = prompts.save(tmp_path / "deep" / "prompts.json")
    assert Prompts.load(path) == prompts
    assert [p.name for p in path.parent.iterdir()] == ["prompts.json"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BoxPrompt((10, 10, 10, 20)), "has no area.*xyxy"),
        (lambda: BoxPrompt((1, 2, float("nan"), 4)), "must be finite"),
        (lambda: BoxPrompt("1,2,3,4"), "expected numbers"),
        (lambda: BoxPrompt((1, 2, 3, 4), object_id=0), "object_id must be an int of at least 1, got 0"),
        (
            lambda: BoxPrompt((1, 2, 3, 4), object_id=2**63),
            "object_id must be .* of 64 bits, got 9223372036854775808",
        ),
        (lambda: BoxPrompt((1, 2, 3, 4), frame=-1), "frame must be an int of at least 0, got -1"),
        (lambda: MaskPrompt.of(np.zeros((3, 4))), "the mask is empty"),
        (lambda: MaskPrompt(polygon=((1, 1), (2, 2))), "at least 3"),
        (lambda: ClickPrompt(((1, 1),), (False,)), "at least one positive click"),
        (lambda: ClickPrompt(((1, 1),), (True, True)), "1 points but 2"),
        (lambda: PointPrompt(()), "at least 1 point"),
        (lambda: SkeletonPrompt(((1, 1),), edges=((0, 1),)), "names a node that doesn't exist"),
        (
            lambda: Prompts([BoxPrompt((1, 1, 2, 2)), BoxPrompt((1, 1, 3, 3))]),
            "Two box prompts for object 1 on frame 0",
        ),
        (
            lambda: Prompts(
                [BoxPrompt((1, 1, 2, 2), label="a"), BoxPrompt((1, 1, 3, 3), frame=1, label="b")]
            ),
            "two labels",
        ),
    ],
)
def test_bad_prompts_are_refused(make, message):
    with pytest.raises(PromptError, match=message):
        make()


class Size:
    width, height = 64, 48

    def __len__(self) -> int:
        return 10


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (BoxPrompt((70, 1, 90, 20)), "outside the frame of 64 x 48"),
        (BoxPrompt((1, 1, 5, 5), frame=10), "has 10 frames, so its last frame is 9"),
        (MaskPrompt.of(np.ones((64, 48))), "the mask is 48 x 64 px, the frame 64 x 48 px"),
        (ClickPrompt(((1, 1), (65, 5))), "click .* outside the frame"),
        (MaskPrompt(polygon=((1.1, 1.1), (1.3, 1.1), (1.3, 1.3))), "covers no pixel centre"),
    ],
)
def test_prompts_that_do_not_fit_the_video(prompt, message):
    with pytest.raises(PromptError, match=message):
        Prompts(prompt).check(Size())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON prompt set .line 1"),
        ("[]", "expected .'version': 1"),
        ('{"version": 1, "prompts": [{"kind": "circle"}]}', "prompt 0: unknown kind 'circle'. Known: box"),
        ('{"version": 1, "prompts": [{"kind": "box", "boxx": [1]}]}', "prompt 0: unknown field 'boxx'"),
        ('{"version": 1, "prompts": [{"kind": "mask", "counts": "zz*", "size": [3, 4]}]}', "prompt 0"),
        ('{"version": 1, "prompts": [{"kind": "mask", "counts": "QUFB", "size": [99999, 99999]}]}', "size"),
    ],
)
def test_hostile_files_are_refused(text, message, tmp_path):
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises((FormatError, PromptError), match=message) as error:
        Prompts.load(path)
    assert str(path) in str(error.value)


def test_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(FormatError, match=r"no such prompt file.*annotate"):
        Prompts.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    "edges",
    [
        (1.0, 2.0, 3.0, 4.0),
        (1.5, 2.0, 1e308, 1.7e308),
        (1.0, 2.0, 1.0, 4.0),
        (1.0, 2.0, float("inf"), 4.0),
        (float("-inf"), 2.0, float("inf"), 4.0),
        (1.0, 2.0, float("nan"), 4.0),
        (1.0, 2.0, 3.0),
        (1.0, 2.0, 3.0, 4.0, 5.0),
    ],
)
def test_a_box_of_plain_floats_is_the_same_box(edges):
    """Four floats in a tuple, of which tables make thousands, are taken without an array: with the same answers."""

    def told(given):
        try:
            return BoxPrompt(given, object_id=3, frame=2).xyxy
        except PromptError as error:
            return str(error).replace("[", "(").replace("]", ")").replace("np.float64", "")

    one, other = told(edges), told(list(edges))
    assert one == other
    assert isinstance(one, str) or [*map(type, one)] == [float] * 4


def test_rotated_box():
    prompt = BoxPrompt((0, 0, 4, 2), np.pi / 2)
    np.testing.assert_allclose(prompt.box(10, 10), [1, -1, 3, 3], atol=1e-12)


class TestTexts:
    def test_words_without_a_place(self):
        prompt = TextPrompt(" yellow taxi ", frame=2)
        assert (prompt.text, prompt.name, prompt.kind) == ("yellow taxi", "yellow taxi", "text")
        assert TextPrompt("dog", label="Rex").name == "Rex"
        prompt.check(np.zeros((3, 20, 30)).view(_Three))
        with pytest.raises(PromptError, match="the video has 3 frames"):
            TextPrompt("dog", frame=3).check(np.zeros((3, 20, 30)).view(_Three))

    @pytest.mark.parametrize("text", ["", "  ", None, 7, "a\nb", "dog " * 100])
    def test_what_is_no_text(self, text):
        with pytest.raises(PromptError, match="text"):
            TextPrompt(text)

    def test_two_texts_are_two_numbers(self):
        with pytest.raises(PromptError, match="Two text prompts for object 1"):
            Prompts([TextPrompt("dog"), TextPrompt("cat")])
        assert len(Prompts([TextPrompt("dog"), TextPrompt("cat", object_id=2)])) == 2


class _Three(np.ndarray):
    """Three frames of 30 x 20 pixels."""

    width, height = 30, 20
