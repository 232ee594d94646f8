"""What one tenant may fill of a place that all fill together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.stream.share import Share


def test_shares_are_equal_from_half_on() -> None:
    """Below it a tenant has its own bound; a new one's share stays free, and what is left is not promised to each."""
    share = Share(100, 40)
    assert [share.of_one(taken, 3) for taken in (0, 49, 50, 90)] == [40, 40, 25, 25]
    assert [share.spare(tenants) for tenants in (1, 3, 200)] == [50, 75, 100]
    assert [share.rest(taken, 3) for taken in (0, 49, 50, 75, 90)] == [50, 1, 25, 0, 0]


@given(most=st.integers(1, 10_000), of_one=st.integers(1, 1_000), tenants=st.integers(1, 10_000), taken=st.integers(0))
def test_a_tenant_may_always_have_something(most: int, of_one: int, tenants: int, taken: int) -> None:
    """However small the place and many the tenants; and nobody has more than its own bound."""
    share = Share(most, of_one)
    assert 1 <= share.of_one(taken, tenants) <= of_one
    assert 0 <= share.rest(taken, tenants) <= most
