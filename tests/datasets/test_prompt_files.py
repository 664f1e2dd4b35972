"""The prompt files in data/ are those of the sample clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from vtlab.datasets.samples import CLIPS
from vtlab.prompts import Prompts

FOLDER = Path(__file__).parents[2] / "data" / "prompts"


@pytest.mark.parametrize("name", [n for n, c in CLIPS.items() if len(c.prompts)])
def test_prompt_files_agree_with_the_samples(name):
    assert Prompts.load(FOLDER / f"{name}.json") == CLIPS[name].prompts
