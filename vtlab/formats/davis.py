"""DAVIS 2016 and 2017: palette images, in one or several resolutions; see `label_images`. LVOS (Hong et al., ICCV 2023)
lies the same way without a resolution; its own rule counts the prompted frame (lvos/evaluation.py of
https://github.com/LingyiHongfd/lvos-evaluation).

Benchmark: Pont-Tuset et al., The 2017 DAVIS Challenge, arXiv:1704.00675.
"""

from vtlab.formats.label_images import LabelImages

FORMAT = LabelImages(
    name="davis",
    summary="{JPEGImages,Annotations}/<resolution>/<sequence>/*",
    rules={"davis2016": "", "davis2017": "", "lvos": "lvos"},
    rule="davis",
    last_counts=False,
)
