"""Writes sot_lasot.json: LaSOT_Evaluation_Toolkit's curves on DTB70. Run: make_lasot.py SHARED TOOLKIT.

Needs GNU Octave and the toolkit's folder, whose MATLAB functions `calc_seq_err_robust` and `calc_rect_int` run unchanged;
counting frames (`eval_tracker.m`) and averaging sequences (`plot_draw_save.m`) are the few lines below.
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

SCRIPT = """
warning('off', 'all'); addpath('{utils}');
files = dir('{root}/anno/*.txt');
overlaps = 0:0.05:1; pixels = 0:50;
for i = 1:numel(files)
  read = @(folder) dlmread(['{root}/' folder '/' files(i).name]);
  for norm = 0:1
    [overlap, err] = calc_seq_err_robust(read('res'), read('anno'), read('absent'), norm);
    n = size(read('anno'), 1) + eps;
    success(i, :) = sum(overlap > overlaps, 1) / n;
    precision(i, :, norm + 1) = sum(err <= pixels / (1 + 99 * norm), 1) / n;
  end
end
curves = {{mean(success(sum(success, 2) > eps, :)), mean(precision(:, :, 1)), mean(precision(:, :, 2))}};
for k = 1:3 printf('%.17g ', curves{{k}}); printf('\\n'); end
"""
folder = Path(sys.argv[1]) / "data/sot/benchmarks/DTB70"
archive = zipfile.ZipFile(folder / "results_5trackers.zip")
with tempfile.TemporaryDirectory() as root:
    for number, path in enumerate(sorted((folder / "anno").glob("*.txt"))):
        truth = np.loadtxt(path, delimiter=",")
        answer = np.loadtxt(archive.open(f"DTB70/SiamAPN/{path.name}"), delimiter=",")
        answer[7 + number % 5 :: 11, 2:] = 0  # missing answers, which the toolkit fills with the last one
        absent = np.arange(len(truth)) % 9 == 4
        for name, table in (("anno", truth), ("res", answer), ("absent", absent)):
            target = Path(root) / name / path.name
            target.parent.mkdir(exist_ok=True)
            np.savetxt(target, table, fmt="%.17g", delimiter=",")
    script = SCRIPT.format(root=root, utils=Path(sys.argv[2]) / "utils")
    printed = subprocess.run(
        ["octave-cli", "--eval", script], check=True, capture_output=True, text=True
    ).stdout
curves = ([float(v) for v in line.split()] for line in printed.splitlines())
out = dict(zip(("success", "precision", "norm"), curves, strict=True))
Path(__file__).with_name("sot_lasot.json").write_text(json.dumps(out))
