"""What every metric keeps, asked of every name in `METRICS` that has truth: perfect, empty, bounds, 300 frames, ids."""

from __future__ import annotations

import pytest

from tests.families import check_names, check_order, check_range, check_record, check_unchanged, scored
from vtlab.metrics import METRICS
from vtlab.metrics.families import FAMILIES


@pytest.fixture(scope="module")
def scores():
    return scored([(family, rule) for family, record in FAMILIES.items() for rule in record.rules])


def test_values_lie_in_the_range_of_their_record(scores):
    check_range(scores)


def test_perfect_beats_jittered_beats_empty(scores):
    check_order(scores)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_order_of_rows_and_the_names_of_objects_do_not_matter(family):
    check_names(family)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_nothing_given_is_changed(family):
    check_unchanged(family)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_records_fit_their_tables_and_rules(family):
    check_record(family)


def test_every_record_is_complete_and_used(scores):
    used = {name for answers in scores.values() for name in answers["perfect"]}
    for name, record in METRICS.items():
        assert record.name == name
        assert record.meaning
        assert record.paper
        assert record.arrow == {True: "↑", False: "↓", None: ""}[record.higher_is_better]
        elsewhere = record.family in ("proxy", "cost") or name.startswith(("mA", "AP_"))
        assert name in used or elsewhere or name == "failures", (
            name
        )  # of results of VOT's supervised experiment
