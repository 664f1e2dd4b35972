"""Kits of hosts: they ask of each contract what it can have, and vtlab's doors keep it."""

from __future__ import annotations

import pytest

from vtlab.serve.cvat import Function
from vtlab.testing.hosts.base import TOPICS
from vtlab.testing.hosts.cvat import sdk
from vtlab.testing.hosts.cvat_kit import CVAT
from vtlab.testing.hosts.kits import KITS
from vtlab.testing.toys import TOYS


@pytest.mark.parametrize("host", KITS)
def test_a_kit_asks_everything_or_says_why_not(host):
    asked = [check.name.partition(":")[0] for check in KITS[host]]
    assert set(TOPICS) <= set(asked)


@pytest.mark.parametrize("check", CVAT, ids=str)
def test_cvats_function_keeps_the_contract(check):
    with sdk():
        check("cvat", url=Function(TOYS))
