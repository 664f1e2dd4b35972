"""The kits of all hosts, by name."""

from __future__ import annotations

from vtlab.testing.contract import Contract
from vtlab.testing.hosts.cvat_kit import CVAT
from vtlab.testing.hosts.dataloop_kit import DATALOOP
from vtlab.testing.hosts.http_kit import HTTP
from vtlab.testing.hosts.label_studio_kit import LABEL_STUDIO
from vtlab.testing.hosts.supervisely_kit import SUPERVISELY
from vtlab.testing.hosts.vot_kit import VOT

KITS: dict[str, Contract] = {
    "cvat": CVAT,
    "dataloop": DATALOOP,
    "http": HTTP,
    "label-studio": LABEL_STUDIO,
    "supervisely": SUPERVISELY,
    "vot": VOT,
}
"""Host -> what its annotation tool relies on."""
