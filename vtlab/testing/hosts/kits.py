"""The kits of all hosts, by name."""

from __future__ import annotations

from vtlab.testing.contract import Contract
from vtlab.testing.hosts.cvat_kit import CVAT
from vtlab.testing.hosts.dataloop_kit import DATALOOP
from vtlab.testing.hosts.supervisely_kit import SUPERVISELY

KITS: dict[str, Contract] = {"cvat": CVAT, "dataloop": DATALOOP, "supervisely": SUPERVISELY}
"""Host -> what its annotation tool relies on."""
