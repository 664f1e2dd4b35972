"""Box trackers on narrow random networks: as fast as a test needs, and everything around the network is real."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import nn

from vtlab.nets import mcitrack as mcitrack_nets
from vtlab.nets import mixformer_cvt, mixformer_vit
from vtlab.nets import sutrack as sutrack_nets
from vtlab.nets.mixformer import MixFormer, ScorePrediction
from vtlab.nets.transt import TransT
from vtlab.trackers.boxes import mcitrack, mixformer, sutrack, transt
from vtlab.video import Frame

KINDS = ("transt", "cvt", "cvt-offline", "vit", "mcitrack", "sutrack")


class BoxHead(nn.Module):
    """A box near the middle of the crop that depends on the features."""

    def __init__(self, channels):
        super().__init__()
        self.proj = nn.Linear(channels, 4)

    def forward(self, x):
        y = torch.tanh(2 * self.proj(x.mean(dim=(2, 3)))).float()
        return torch.cat([0.5 + 0.05 * y[:, :2], 0.22 + 0.02 * y[:, 2:]], dim=1)


@cache
def network(kind):
    """The narrow network of a kind; its trackers share it."""
    torch.manual_seed(0)
    if kind == "transt":
        net = TransT(2, channels=32, heads=2, hidden=32)
        net.backbone[0].body = nn.Conv2d(3, 1024, 8, stride=8)
        nn.init.normal_(net.class_embed.layers[2].weight, std=3)
        return net.eval()
    if kind in ("mcitrack", "sutrack"):
        config = mcitrack_nets.MCITrackConfig(dim=64, stem=1, depth=4, search=64, template=32)
        made = mcitrack_nets.MCITrack if kind == "mcitrack" else sutrack_nets.SUTrack
        net = made(config).eval()
        for name, value in net.named_parameters():
            if value.dim() == 1 and not name.endswith("norm.weight"):
                nn.init.normal_(value, 1.0 if name.endswith(("weight", "gamma", "D")) else 0.0, 0.1)
        return net
    if kind == "vit":
        backbone = mixformer_vit.MixVit(mixformer_vit.VitConfig(64, 2, 2, 128, 288))
    else:
        backbone = mixformer_cvt.MixCvt(mixformer_cvt.CvtConfig((16, 32, 64), (1, 2, 1), (1, 1, 1)))
    net = MixFormer(backbone, BoxHead(64), None if kind == "cvt-offline" else ScorePrediction(64))
    if net.online:
        nn.init.normal_(net.score_branch.score_token)
        nn.init.normal_(net.score_branch.score_head.layers[2].weight, std=1)
    return net.eval()


def make(monkeypatch, kind, net=None, **options):
    """A tracker of a kind on its narrow network, or on `net`; templates are due every 0.2 s."""
    cls, params = part(monkeypatch, kind, net, **options)
    return cls(**params)


def part(monkeypatch, kind, net=None, **options):
    """The class of a kind, whose network is the narrow one from now on, and the parameters that fit it."""
    module = {"transt": transt, "mcitrack": mcitrack, "sutrack": sutrack}.get(kind, mixformer)
    monkeypatch.setattr(module, "load", lambda *_, **__: net or network(kind))
    options = {"device": "cpu", **options}
    if kind == "transt":
        return transt.TransT, options
    options = {"update_every": 0.2, **options}
    if kind == "mcitrack":
        return mcitrack.MCITrack, {"memory": 6, **options}
    if kind == "sutrack":
        return sutrack.SUTrack, {"update_above": 0.2, "templates": 2, **options}
    options = {"search_factor": 4.5, **options}
    return mixformer.MixFormer, {"backbone": kind[:3], "online": "offline" not in kind, **options}


def smooth_frames(n=8):
    """Smooth random images of 160 x 120 px, ten per second."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (n, 15, 20, 3), dtype=np.uint8)
    return [Frame(i, i / 10, np.kron(c, np.ones((8, 8, 1), np.uint8))) for i, c in enumerate(coarse)]
