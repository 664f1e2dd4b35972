"""sleap-io reads the poses that vtlab wrote, and vtlab reads what it wrote."""

from __future__ import annotations

import pytest

from tests.judges.asking import ask, keep

pytestmark = pytest.mark.judge


def instances(kind: str, unseen: bool) -> list:
    """What a reader finds of the scene of the judge; a place that isn't seen is no place to it."""
    found = []
    for frame in range(4):
        for owner, i in (("left", 1), ("right", 2)):
            if (frame, i) != (1, 2):
                xy = [[10 * i + frame - 0.25, 5 * k + frame + 0.0] for k in range(3)]
                named = dict(zip(("nose", "back", "tail"), xy, strict=True))
                if unseen and (frame, i) == (2, 1):
                    named["back"] = None
                found.append([frame, owner, kind, named])
    return found


def test_sleap_io_reads_projects_and_labels_of_deeplabcut(tmp_path):
    told = ask("sleap", str(tmp_path))
    assert told["sleap"] == instances("Instance", unseen=True)
    assert told["predicted"] == instances("PredictedInstance", unseen=True)
    assert told["lines"] == [["nose", "back"], ["back", "tail"]]
    assert told["shape"] == [4, 48, 64, 3]
    assert [row[:2] + row[3:] for row in told["deeplabcut"]] == [
        row[:2] + row[3:] for row in instances("Instance", unseen=True)
    ]
    frames, owners, xy, seen = told["back"]
    assert (frames, owners) == ([0, 0, 1, 2, 2, 3, 3], [1, 2, 1, 1, 2, 1, 2])
    assert xy[0] == [10.25, 0.5]
    assert seen.count(False) == 1
    assert told["golden"] == [[1, 2, 1, 1, 2, 1, 2], {"1": "left", "2": "right"}, [48, 64]]
    assert "a project of SLEAP" in told["cut_off"]
    assert set(told["contract"]) <= {"pass", "skip"}
    assert told["contract"].count("pass") >= 7
    keep([tmp_path / "theirs.slp"], "sleap")
