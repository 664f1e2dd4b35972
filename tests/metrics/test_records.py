"""Numbers as tables and sentences say them."""

import pytest

from vtlab.metrics.records import added, figures


@pytest.mark.parametrize(
    ("value", "told"),
    [(123.4, "+123"), (99.6, "+100"), (9.96, "+10"), (-0.034, "-0.034"), (0, "+0"), (float("nan"), "–")],
)
def test_what_was_added_is_told_with_its_sign_and_no_power_of_ten(value, told):
    assert added(value) == told


@pytest.mark.parametrize(("value", "told"), [(71.44, "71.4"), (12345.6, "12346"), (0.0564, "0.0564")])
def test_a_measured_number_has_three_figures(value, told):
    assert figures(value) == told
