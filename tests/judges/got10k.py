"""got10k-toolkit 0.1.3 on a folder that vtlab wrote: `python got10k.py ROOT` prints AO, SR and speed of the tracker "mine",
and runs the toolkit's own loop, whose results and times it leaves in ROOT/loop."""

import contextlib
import io
import json
import os
import sys

sys.path.pop(0)  # this file has the package's name

from got10k.experiments import ExperimentGOT10k
from got10k.trackers import Tracker


class Still(Tracker):
    def __init__(self):
        super().__init__(name="still", is_deterministic=True)

    def init(self, image, box):
        self.box = box

    def update(self, image):
        return self.box


def main(root):
    os.symlink(os.path.join(root, "truth"), os.path.join(root, "val"))
    os.symlink(root, os.path.join(root, "GOT-10k"))
    with contextlib.redirect_stdout(io.StringIO()):
        report = os.path.join(root, "report")
        experiment = ExperimentGOT10k(root, subset="val", result_dir=root, report_dir=report)
        found = experiment.report(["mine"])["mine"]["overall"]
        ExperimentGOT10k(root, subset="val", result_dir=os.path.join(root, "loop"), report_dir=report).run(
            Still()
        )
    print(json.dumps({key: float(found[key]) for key in ("ao", "sr", "speed_fps")}))


main(*sys.argv[1:])
