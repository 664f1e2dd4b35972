"""Which rule of SAM 2's memory follows the right one among look-alikes, with a stand-in for the network.

    python -m benchmarks lookalikes [--clips 40]

Prints, for each rule, the mean share of frames that are right and its standard error over the clips of
`vtlab.testing.lookalikes`.
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np

from vtlab.testing.lookalikes import followed, world
from vtlab.trackers.masks.sam2.d4sm import DistractorAware
from vtlab.trackers.masks.sam2.memory import LastFrames
from vtlab.trackers.masks.sam2.samurai import MotionAware

RULES = {
    "last (SAM 2)": LastFrames,
    "d4sm": DistractorAware,
    "d4sm, official": partial(DistractorAware, official=True),
    "samurai": MotionAware,
    "samurai, official": partial(MotionAware, official=True),
}


def main() -> None:
    """Run all rules on the same clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=40)
    clips = [world(seed) for seed in range(parser.parse_args().clips)]
    print("| rule | frames right | standard error |\n| --- | --- | --- |")
    for name, rule in RULES.items():
        shares = np.array([followed(clip, rule()).mean() for clip in clips])
        print(f"| {name} | {shares.mean():.3f} | {shares.std(ddof=1) / np.sqrt(len(shares)):.3f} |")


if __name__ == "__main__":
    main()
