"""The crosswalk is whole, consistent, and has a reason everywhere."""

from __future__ import annotations

import pytest

from worker.policy.crosswalk import TAXONOMIES, TaxonomyName, crosswalk, dsa_categories, dsa_category, nearest_dsa
from worker.policy.pack_starter import base_ids
from worker.train.data.taxonomy import RSAFE


def test_every_category_of_rsafe_is_there() -> None:
    """In its order, under its name."""
    assert [(row.id, row.name) for row in crosswalk().categories] == [(key, name) for key, _, name in RSAFE]
    assert base_ids() == tuple(key for key, _, _ in RSAFE)


@pytest.mark.parametrize("name", TAXONOMIES)
def test_counterparts_exist(name: TaxonomyName) -> None:
    """Each id stands in its taxonomy, none has no ids, and each has its reason and its source."""
    table = crosswalk()
    known = table.taxonomies[name]
    rows = [getattr(row, name) for row in table.categories]

    assert {one for row in rows for one in row.ids} <= known.ids.keys()
    assert all((row.match == "none") == (not row.ids) for row in rows)
    assert all(row.why.endswith(".") for row in rows)
    assert all(source.startswith("https://") for source in known.sources)


def test_none_is_an_answer() -> None:
    """OpenAI has no place for personal data, the statement of reasons none for advice."""
    by_id = {row.id: row for row in crosswalk().categories}

    assert by_id["U10"].openai.match == "none"
    assert dsa_category("U13") is None
    assert dsa_category("SPAM") is None
    assert dsa_category("U9") == "STATEMENT_CATEGORY_SELF_HARM"


def test_sizes_of_the_taxonomies() -> None:
    """Thirteen of OpenAI, S1 to S14, and sixteen statement categories."""
    sizes = {name: len(one.ids) for name, one in crosswalk().taxonomies.items()}

    assert sizes == {"openai": 13, "mlcommons": 14, "dsa": 16}
    assert list(crosswalk().taxonomies["mlcommons"].ids) == [f"S{number}" for number in range(1, 15)]


@pytest.mark.parametrize(
    "said,meant",
    [
        ("scams and fraud", "STATEMENT_CATEGORY_SCAMS_AND_FRAUD"),
        ("STATEMENT_CATEGORY_SELFHARM", "STATEMENT_CATEGORY_SELF_HARM"),
        ("weather", None),
    ],
)
def test_what_somebody_meant(said: str, meant: str | None) -> None:
    """A near miss is named; nothing is guessed where nothing is near."""
    assert nearest_dsa(said) == meant
    assert meant is None or meant in dsa_categories()
