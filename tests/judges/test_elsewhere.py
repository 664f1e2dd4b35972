"""Results in other tools: the tools themselves, each in an environment of its own with vtlab in it."""

from __future__ import annotations

import pytest

from tests.judges.asking import ask

pytestmark = [pytest.mark.judge, pytest.mark.timeout(900)]


def test_three_tools_keep_what_the_page_hands_them(tmp_path):
    found = ask("results", str(tmp_path))
    scene, expected = found["scene"], pytest.approx(found["expected"], abs=1e-6)
    assert {f"{scene}/success_auc/a b", "all/fps/a b", f"{scene}/J&F/flow"} <= set(found["tensorboard"])
    assert found["mlflow"][f"a b on {scene}"]["success_auc"] == expected
    assert "J_F" in found["mlflow"]["flow on all"]
    assert {f"{scene}.parquet", "table.csv"} <= set(found["artifacts"])
    assert found["wandb"][f"{scene}/a b/success_auc"] == expected
    assert len(found["folders"]) == 1


def test_fiftyone_reads_back_what_was_compared(tmp_path):
    found = ask("data_set", str(tmp_path))
    assert found["media"] == "video"
    assert found["frames"] == [12, 12]
    rows = found["rows"]
    assert (found["truth"], found["flow"], found["points"]) == (
        rows["truth"],
        rows["flow"],
        rows["lucas-kanade"],
    )
    assert 0 < found["good"] <= found["flow"]
    assert {"ground_truth", "identity", "flow", "lucas_kanade_points", "sort"} <= set(found["schema"])
    assert 0 <= found["bounds"][0] <= found["bounds"][1] <= 1
    read, expected = found["J&F"]
    assert read == pytest.approx(expected)
    (x, y, w, h), (x1, y1, x2, y2) = found["box"]
    assert [x * 162, y * 98, (x + w) * 162, (y + h) * 98] == pytest.approx([x1, y1, x2, y2])
    assert found["ids"] == [1, 2]
