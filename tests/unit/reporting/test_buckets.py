"""Which bucket a day past due falls in, and how buckets are asked for."""

from __future__ import annotations

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reporting.aging import BUCKETS_DEFAULT, Buckets, BucketsInvalid


def label_of(buckets: Buckets, days_past_due: int) -> str:
    """As the database's width_bucket does: how many bounds are reached."""
    return buckets.labels[bisect_right(buckets.bounds, days_past_due)]


class TestDefaultBuckets:
    buckets = Buckets.parse(BUCKETS_DEFAULT)

    def test_the_labels_are_those_of_the_trade(self) -> None:
        assert self.buckets.labels == ("current", "1-30", "31-60", "61-90", "91-120", "121+")

    @pytest.mark.parametrize(
        ("days", "label"),
        [
            (-15, "current"),
            (0, "current"),
            (1, "1-30"),
            (30, "1-30"),
            (31, "31-60"),
            (60, "31-60"),
            (61, "61-90"),
            (90, "61-90"),
            (91, "91-120"),
            (120, "91-120"),
            (121, "121+"),
        ],
    )
    def test_a_day_at_the_edge_falls_on_the_right_side(self, days: int, label: str) -> None:
        assert label_of(self.buckets, days) == label


class TestParsing:
    def test_one_limit_makes_three_buckets(self) -> None:
        buckets = Buckets.parse("45")
        assert buckets.labels == ("current", "1-45", "46+")
        assert buckets.bounds == [1, 46]

    @pytest.mark.parametrize(
        "text",
        ["", ",", "a", "30,", "30,30", "60,30", "0,30", "-1", "30,60.5", "3651", ",".join(map(str, range(1, 14)))],
    )
    def test_what_is_no_ascending_days_is_refused(self, text: str) -> None:
        with pytest.raises(BucketsInvalid) as refused:
            Buckets.parse(text)
        assert refused.value.field == "buckets"

    @given(st.sets(st.integers(1, 3650), min_size=1, max_size=12), st.integers(-4000, 4000))
    def test_every_day_falls_in_the_bucket_whose_label_covers_it(self, ends: set[int], days: int) -> None:
        buckets = Buckets.parse(",".join(map(str, sorted(ends))))
        label = label_of(buckets, days)
        if label == "current":
            assert days <= 0
        elif label.endswith("+"):
            assert days >= int(label[:-1])
        else:
            low, high = map(int, label.split("-"))
            assert low <= days <= high
