"""Settings of associators: one frozen dataclass each, from which everything else follows."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, fields

import numpy as np
import pytest

import vtlab
from vtlab.association.engine import KalmanAssociator
from vtlab.association.recipe import CommonSettings, Recipe, Stage
from vtlab.cli.parts import part_facts
from vtlab.detectors.callable import CallableDetector
from vtlab.errors import InputError, RegistryError
from vtlab.registry import ASSOCIATORS, defaults
from vtlab.testing.streams import run, walkers


@pytest.mark.parametrize("name", ASSOCIATORS.names())
def test_parameters_are_the_fields_of_one_frozen_dataclass_that_documents_them(name):
    cls = ASSOCIATORS.find(name)
    assert defaults(cls) == {f.name: f.default for f in fields(cls.Settings)}
    assert "__init__" not in vars(cls)
    documented = "".join(c.__doc__ for c in cls.Settings.__mro__ if c is not object)
    assert not [f.name for f in fields(cls.Settings) if f"    {f.name}: " not in documented]
    assert cls.Settings.__dataclass_params__.frozen


@dataclass(frozen=True, kw_only=True)
class ToySettings(CommonSettings):
    """Settings of a toy.

    Attributes:
        strict: Lowest IoU of a match.
        min_hits: As in the common settings, with another default.
    """

    strict: float = 0.5
    min_hits: int = 1


class Toy(KalmanAssociator):
    """Overlap alone."""

    Settings = ToySettings
    settings: ToySettings

    def _recipe(self) -> Recipe:
        threshold = self.settings.strict
        return Recipe(stages=[Stage("all", "any", threshold)], motion="xyxy", high=0.5, low=0.5, new=0.5)


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(ASSOCIATORS, "_entries", dict(ASSOCIATORS._entries))
    ASSOCIATORS.register("toy", family="associator", options={"strict": 0.3})(Toy)
    return "toy"


def test_a_setting_is_added_in_one_place(toy):
    made = ASSOCIATORS.create(toy, lost_seconds=2.0)
    assert made.params == {**defaults(CommonSettings), "strict": 0.3, "min_hits": 1, "lost_seconds": 2.0}
    assert made.settings == ToySettings(strict=0.3, lost_seconds=2.0)
    with pytest.raises(RegistryError, match="'toy' has no parameter 'strcit'.*'strict'"):
        ASSOCIATORS.create(toy, strcit=0.3)
    with pytest.raises(FrozenInstanceError):
        made.settings.strict = 0.4
    assert max(i for ids in run(made, walkers()) for i in ids) > 1


def test_settings_go_through_track(toy):
    detector = CallableDetector(function=lambda image: [[4, 4, 20, 28, 0.9]])
    video = np.zeros((4, 32, 40, 3), np.uint8)
    tracks = vtlab.track(
        video, None, "bytetrack", detector=detector, associator=toy, min_hits=2, progress=False
    )
    assert tracks.frame.tolist() == [1, 2, 3]


def test_the_command_line_tells_a_tracker_by_detections_parameters_and_those_of_its_associator():
    parameters = part_facts("c-biou")["parameters"]
    assert (
        parameters.items()
        >= {"detector": "auto", "associator": "c-biou", "buffer": 0.3, "rule": "all"}.items()
    )
    assert set(parameters) > set(defaults(ASSOCIATORS.find("c-biou")))


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("bytetrack", {"high": "0.6"}, "high must be a number, got '0.6'"),
        ("bytetrack", {"high": 60}, r"high must be at most 1 \(a fraction\), got 60"),
        ("sort", {"threshold": float("nan")}, "threshold must be a number, got nan"),
        ("sort", {"min_hits": 2.5}, "min_hits must be a whole number, got 2.5"),
        ("ocsort", {"min_hits": 0}, "min_hits must be at least 1, got 0"),
        ("botsort", {"lost_seconds": -1}, "lost_seconds must be at least 0, got -1"),
        ("botsort", {"fuse": "yes"}, "fuse must be a bool, got 'yes'"),
        ("ocsort", {"weak": 1}, "weak must be a bool, got 1"),
        ("deepsort", {"gallery": True}, "gallery must be a whole number, got True"),
        ("bytetrack", {"motion": 3}, "motion must be a str, got 3"),
    ],
)
def test_settings_of_another_type_or_out_of_range_are_refused(name, given, told):
    with pytest.raises(InputError, match=told):
        ASSOCIATORS.create(name, **given)


def test_numbers_of_numpy_are_numbers():
    made = ASSOCIATORS.create("bytetrack", lost_seconds=np.float32(2), min_hits=np.int64(2), high=1)
    assert made.settings.lost_seconds == 2


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("track_high_thresh", 60, "from 0 to 1"),
        ("track_low_thresh", -0.1, "from 0 to 1"),
        ("new_track_thresh", 1.01, "from 0 to 1"),
        ("match_thresh", 80, "from 0 to 1"),
        ("match_thresh", -1, "from 0 to 1"),
        ("proximity_thresh", "0.5", "a number"),
        ("appearance_thresh", float("nan"), "a number"),
        ("track_buffer", 30.5, "a whole number"),
        ("with_reid", 0, "a bool"),
        ("cmc_method", "gmc", "one of"),
        ("fps", 0, "more than 0"),
    ],
)
def test_supervisely_settings_are_checked_under_their_own_names(setting, value, expected):
    with pytest.raises(InputError, match=f"^SuperviselyBotSort: {setting} must be {expected}"):
        ASSOCIATORS.create("supervisely-botsort", **{"with_reid": False, setting: value})
    for edge in (0, 1):
        ASSOCIATORS.create("supervisely-botsort", with_reid=False, match_thresh=edge, track_high_thresh=edge)
