"""The traffic that is measured with."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest

from worker.bench.traffic import HOT_SHARE, Shape, traffic
from worker.demo.samples import CHANGING


@pytest.mark.parametrize("shape", get_args(Shape))
def test_equal_seeds_give_equal_messages_with_ids_of_their_own(shape: Shape) -> None:
    """Traffic can be repeated, and no message looks like an edit of another."""
    messages = traffic(shape, 500, seed=3)
    assert messages == traffic(shape, 500, seed=3)
    assert len({message.message_id for message in messages}) == 500


def test_a_hot_tenant_sends_nine_of_ten() -> None:
    """The shape ``hot`` has one tenant that could starve the others."""
    tenants = Counter(message.tenant_id for message in traffic("hot", 2000, seed=3))
    assert tenants[CHANGING] / 2000 == pytest.approx(HOT_SHARE, abs=0.03)


def test_uniform_tenants_send_about_as_many() -> None:
    """The shape ``uniform`` gives every tenant its share."""
    tenants = Counter(message.tenant_id for message in traffic("uniform", 2000, seed=3))
    assert max(tenants.values()) < 1.3 * min(tenants.values())
