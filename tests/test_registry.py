"""The registry: finding, making, naming mistakes; custom trackers from a cell, a file and a package."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import vtlab
from vtlab.contracts import Observation, SingleObjectTracker
from vtlab.errors import MissingDependencyError, RegistryError
from vtlab.prompts import BoxPrompt
from vtlab.registry import DETECTORS, REGISTRIES, TRACKERS, Registry, register

OWN_TRACKER = '''
"""A tracker of somebody's own: OpenCV's CSRT in a few lines."""
import cv2
import vtlab
from vtlab.geometry import xywh_to_xyxy, xyxy_to_xywh
from vtlab.contracts import Observation, SingleObjectTracker


@vtlab.register("my-csrt", family="sot", accepts={vtlab.BoxPrompt}, licence="MIT")
class MyCSRT(SingleObjectTracker):
    """CSRT with a padding of its own.

    Args:
        padding: Search region as a multiple of the target.
    """

    def __init__(self, *, padding: float = 3.0):
        params = cv2.TrackerCSRT_Params()
        params.padding = padding
        self.tracker = cv2.TrackerCSRT_create(params)

    def init(self, frame, prompt):
        box = prompt.box(*frame.image.shape[:2])
        self.tracker.init(frame.image, [round(v) for v in xyxy_to_xywh(box)])

    def step(self, frame):
        found, box = self.tracker.update(frame.image)
        return Observation(xywh_to_xyxy(box), score=float(found), visible=found)
'''


def test_builtin_trackers_have_complete_cards():
    names = vtlab.list_trackers()
    assert {"identity", "ncc", "csrt", "kcf", "nanotrack-v2", "nanotrack-v3"} <= set(names)
    for card in TRACKERS.cards():
        if not TRACKERS.find(card.name).__module__.startswith("vtlab."):
            continue  # another test's, in the same process
        assert card.summary, card.name
        assert card.licence, card.name
        assert card.emits <= {"boxes", "masks", "points"}, card.name
        assert card.family in TRACKERS.families, card.name
        assert all(w.url.startswith("https://") and w.licence for w in card.weights), card.name


def test_unknown_tracker_names_near_ones():
    with pytest.raises(RegistryError, match="Unknown tracker 'nanotrak-v2'. Did you mean 'nanotrack-v"):
        vtlab.create_tracker("nanotrak-v2")


def test_unknown_parameter_names_near_ones():
    with pytest.raises(RegistryError, match="'ncc' has no parameter 'serch'. Did you mean 'search'"):
        vtlab.create_tracker("ncc", serch=2)


def test_a_file_given_by_path(tmp_path, square_video):
    file = tmp_path / "my_tracker.py"
    file.write_text(OWN_TRACKER)
    tracks = vtlab.track(
        square_video, BoxPrompt((20, 16, 44, 40)), f"{file}:MyCSRT", progress=False, padding=2.5
    )
    assert len(tracks) == 12
    assert tracks.meta["tracker"]["name"] == "my-csrt"
    assert tracks.meta["tracker"]["params"] == {"padding": 2.5}
    with pytest.raises(RegistryError, match="no 'MyCsrt' in .*Did you mean 'MyCSRT'"):
        vtlab.create_tracker(f"{file}:MyCsrt")
    with pytest.raises(RegistryError, match="there is no file"):
        vtlab.create_tracker(f"{tmp_path / 'none.py'}:X")


def test_a_broken_file_names_the_error(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("import nothing_of_that_name\n")
    with pytest.raises(RegistryError, match="loading .*broken.py' failed with ModuleNotFoundError"):
        vtlab.create_tracker(f"{file}:X")


def test_a_cell_run_twice_replaces_and_another_class_is_refused():
    registry = Registry("tracker", "vtlab.trackers", "none", ("sot",))

    def cell():
        @registry.register("mine", family="sot", licence="MIT")
        class Mine(SingleObjectTracker):
            """Mine."""

            def init(self, frame, prompt):
                return None

            def step(self, frame):
                return Observation(np.zeros(4))

        return Mine

    first, second = cell(), cell()
    assert registry.find("mine") is second is not first
    with pytest.raises(RegistryError, match=r"'mine' is taken by .*Mine"):
        registry.register("mine", family="sot")(type("Other", (), {"__module__": "elsewhere"}))


@pytest.mark.parametrize(("name", "family"), [("Bad Name", "sot"), ("fine", "boxes")])
def test_bad_registrations_are_refused(name, family):
    with pytest.raises(RegistryError, match="lower case|unknown family"):
        register(name, family=family)


def test_an_unregistered_class_is_told_how():
    with pytest.raises(RegistryError, match=r"int is not a registered tracker.*@vtlab.register"):
        vtlab.create_tracker(3)


def test_an_instance_of_a_single_object_tracker_is_refused():
    from vtlab.trackers.compose.identity import Identity

    with pytest.raises(RegistryError, match="follows one object"):
        vtlab.create_tracker(Identity())


def test_plugin_of_another_package(tmp_path):
    """An entry point in an installed distribution makes its tracker known; a broken one only warns."""
    (tmp_path / "other_pkg.py").write_text(OWN_TRACKER.replace("my-csrt", "other-csrt"))
    info = tmp_path / "other_pkg-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-pkg\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vtlab.trackers]\nok = other_pkg\nbad = not_there_at_all\n")
    code = """
        import warnings, vtlab
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            names = vtlab.list_trackers()
        assert "other-csrt" in names
        assert any("plug-in 'bad'" in str(w.message) for w in caught), caught
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=True,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
    )


def test_a_missing_package_names_its_extra():
    registry = Registry("tracker", "vtlab.trackers", "none", ("sot",))

    @registry.register("heavy", family="sot", licence="MIT", requires="torch")
    class Heavy(SingleObjectTracker):
        """Needs a package that nobody has."""

        def __init__(self):
            import a_package_that_nobody_has  # noqa: F401

        def init(self, frame, prompt):
            return None

        def step(self, frame):
            return Observation(np.zeros(4))

    with pytest.raises(
        MissingDependencyError, match=r"The tracker 'heavy' needs .*nobody_has.*pip install 'vtlab\[torch\]'"
    ):
        registry.create("heavy")


def test_import_is_light():
    code = (
        "import sys, vtlab; heavy = {'torch', 'pandas', 'matplotlib', 'cv2', 'scipy', 'av', 'supervision'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "vtlab.list_trackers(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_exist():
    for name in vtlab.__all__:
        assert getattr(vtlab, name) is not None, name


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda r: r.kind)
def test_the_remedy_for_an_unknown_name_is_a_command_that_is_there(registry):
    from typer.testing import CliRunner

    from vtlab.cli.app import app

    with pytest.raises(RegistryError) as raised:
        registry.find("my:own")  # no file, and no Python name
    command = re.search("'vtlab ([^']*)' lists them all", str(raised.value))[1].split()
    assert registry.names()[0] in CliRunner().invoke(app, command).output


def test_a_function_is_no_tracker():
    """The message named a decorator for classes, which does nothing for a function."""

    def seen(image):
        return []

    with pytest.raises(
        RegistryError, match=r"seen is a function, which no tracker is made of.*detector=seen"
    ):
        TRACKERS.card(seen)
    assert DETECTORS.card(seen).options["function"] is seen


def test_a_parameter_of_a_detector_within_a_tracker_is_told_as_it_is_written():
    with pytest.raises(
        RegistryError, match=r"needs the parameter 'path'.*-P 'detector_params=\{\"path\": \.\.\.\}'"
    ):
        DETECTORS.create("public")
