"""Export, retraction and decisions of people on a real broker, with the scripted judge."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import structs
from pyarrow import parquet

from tests.conftest import KafkaAddress
from tests.support.commands import rsafe, rsafe_json
from tests.support.dataplane import count, make_topics, read_all, settings_for, verdict_of
from tests.support.replaying import judged_live, message, originals, policy
from worker import kafka
from worker.audit.explain.find import Hint
from worker.audit.export.export import export
from worker.audit.export.statement import Wish
from worker.audit.overrides.log import override, read_overrides
from worker.audit.overrides.overrides import Ruling
from worker.audit.retract import REASON_HEADER, retract
from worker.audit.span import Span
from worker.audit.standing import Wanted
from worker.audit.verify.verify import verify
from worker.config import Settings
from worker.errors import AuditError, PublishFailed, UsageError
from worker.policy.model import record_digest
from worker.records import decode_policy
from worker.stream.readback import read_back

pytestmark = pytest.mark.broker

COUNT: Final = 60
#: What no export may hold: words of the message, of its context, and people.
PLANTED: Final = ("Zanzibar Street", "dana.smith", "the blue bicycle", "Confidential wording")
SPOKEN: Final = {"notice": {"en": "We hide insults.", "de": "Wir verbergen Beleidigungen."}, "ground": "terms"}
SPEECH: Final = "STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH"
U7: Final = {"id": "U7", "name": "Threats", "action": "block", "definition": PLANTED[3]}
U8: Final = {"id": "U8", "name": "Insults", "action": "hold", "dsa_category": SPEECH} | SPOKEN


def text_of(number: int) -> str:
    """Return a text with somebody's address; two of five are insults, one of five a threat."""
    return f"at 5 {PLANTED[0]} {('', '[unsafe:U7]', '[unsafe:U8]', '[unsafe:U8]', '')[number % 5]}"


def planted(number: int) -> bytes:
    """Return a message full of what must not leave."""
    context = [{"role": "user", "text": PLANTED[2]}]
    return message(number, text_of(number), author_id=PLANTED[1], context=context, language="de-AT")


@pytest.fixture
async def settings(broker: KafkaAddress, topic_prefix: str) -> Settings:
    """A log of messages, judged under two versions of acme's policy and none of bazaar's."""
    chosen = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(chosen)
    first = [("platform", policy(U7)), ("acme", policy(U8)), ("bazaar", policy(U8 | {"ground": "illegal"}))]
    await judged_live(chosen, first, (planted(n) for n in range(COUNT // 2)))
    await judged_live(chosen, [("acme", policy(U8, version=2))], (planted(n) for n in range(COUNT // 2, COUNT)))
    return chosen


async def verdicts(settings: Settings) -> list[dict[str, Any]]:
    """Return every verdict in the log."""
    return [verdict_of(record) for record in await read_all(settings, "verdicts")]


def lines(path: Path) -> list[dict[str, Any]]:
    """Return a file's objects."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def has_part(verdict: dict[str, Any], scope: str, version: int) -> bool:
    """Tell whether a verdict was judged under a version."""
    return (scope, version) in {(part["scope"], part["version"]) for part in verdict["policy"]["parts"]}


@pytest.mark.slow
async def test_exports_hold_every_verdict_and_nobodys_words(settings: Settings, tmp_path: Path) -> None:
    """JSON Lines and Parquet agree with the topic; no format holds text, author, context or a policy's prose."""
    expected = {one["verdict_id"]: one for one in await verdicts(settings)}
    unsafe = {one["verdict_id"]: one for one in expected.values() if one["action"] in {"hold", "block"}}

    plain = await export(settings, Wanted(), "jsonl", tmp_path / "v.jsonl")
    table = await export(settings, Wanted(tenant_id="acme"), "parquet", tmp_path / "v.parquet")
    stated = await export(settings, Wanted(), "dsa", tmp_path / "s.jsonl", Wish(languages=("de", "en")))

    assert {one["verdict_id"]: one for one in lines(tmp_path / "v.jsonl")} == expected
    assert (plain.exported, plain.tenants) == (COUNT, {"acme": COUNT // 2, "bazaar": COUNT // 2})
    rows = parquet.read_table(tmp_path / "v.parquet").to_pylist()
    acme = {key: one for key, one in expected.items() if one["tenant_id"] == "acme"}
    assert {row["verdict_id"]: row["source"] for row in rows} == {key: one["source"] for key, one in acme.items()}
    assert table.exported == COUNT // 2
    statements = {one["puid"]: one for one in lines(tmp_path / "s.jsonl")}
    left_out = {one["verdict_id"]: one for one in lines(tmp_path / "s.jsonl.left-out.jsonl")}
    assert statements.keys() | left_out.keys() == unsafe.keys()
    assert not statements.keys() & left_out.keys()
    assert {one["category"] for one in left_out.values()} == {"U7"}
    assert {one["reason"] for one in left_out.values()} == {"the category has no notice in de or en"}
    for key, one in statements.items():
        ground = "ILLEGAL" if unsafe[key]["tenant_id"] == "bazaar" else "INCOMPATIBLE"
        assert one["decision_ground"] == f"DECISION_GROUND_{ground}_CONTENT"
        assert (one["decision_facts"], one["category"]) == ("Wir verbergen Beleidigungen.", SPEECH)
    assert (stated.exported, sum(one.count for one in stated.left_out)) == (len(statements), len(left_out))
    assert stated.unrestricted == COUNT - len(unsafe)
    files = contents(tmp_path)
    assert files.keys() == {"v.jsonl", "v.parquet", "s.jsonl", "s.jsonl.left-out.jsonl"}
    told = {str(row) for row in rows} | {raw.decode("latin-1") for raw in files.values()}
    assert not [secret for secret in PLANTED for text in told if secret in text]


@pytest.mark.slow
async def test_a_retraction_counts_then_supersedes_once(settings: Settings, tmp_path: Path) -> None:
    """Planning writes nothing; publishing touches one version's verdicts; the second run finds nothing to do."""
    before = await verdicts(settings)
    ids = {one["verdict_id"] for one in before if has_part(one, "acme", 1)}
    window = Wanted(from_ms=0, to_ms=2**52)

    plan = await retract(settings, "acme@1", window)
    assert (plan.planned, plan.published, plan.tenants) == (len(ids), 0, {"acme": len(ids)})
    assert plan.categories.keys() == {"platform:U7", "acme:U8"}
    assert sum(plan.actions.values()) == len(ids) == COUNT // 4
    assert await count(settings, "verdicts") == COUNT

    done = await retract(settings, "acme@1", window, reason="too strict", publish=True)
    again = await retract(settings, "acme@1", window, publish=True)

    assert (done.planned, done.published) == (len(ids), len(ids))
    assert (again.planned, again.published, again.already) == (0, 0, len(ids))
    records = await read_all(settings, "verdicts")
    new = [record for record in records if verdict_of(record).get("supersedes")]
    assert {verdict_of(record)["supersedes"] for record in new} == ids
    assert len(records) == COUNT + len(ids)
    old = {verdict_of(record)["verdict_id"]: record for record in records}
    for record in new:
        verdict, headers = verdict_of(record), dict(record.headers)
        replaced = old[verdict["supersedes"]]
        assert (record.key, record.partition) == (replaced.key, replaced.partition)
        kept = verdict_of(replaced) | {"verdict_id": verdict["verdict_id"], "action": "review"}
        assert verdict == kept | {"supersedes": verdict["supersedes"]}
        assert (headers[REASON_HEADER], headers["ce_type"]) == (b"too strict", b"rsafe.verdict")
    report, _ = await verify(settings, Span())
    assert (report.ok, report.checked) == (True, COUNT)
    await export(settings, Wanted(), "jsonl", tmp_path / "v.jsonl")
    exported = {one["verdict_id"]: one for one in lines(tmp_path / "v.jsonl")}
    assert exported.keys() == {one["verdict_id"] for one in before} - ids | {
        verdict_of(one)["verdict_id"] for one in new
    }
    assert (await export(settings, Wanted(), "dsa", tmp_path / "s.jsonl")).exported < COUNT // 5 * 2


@pytest.mark.slow
async def test_a_version_that_two_records_had_is_retracted_by_digest(settings: Settings) -> None:
    """After a delete versions start again; nothing is written under a number that means two policies."""
    again = [("acme", None), ("acme", policy(U8 | {"name": "Mockery"}))]
    await judged_live(settings, again, (planted(n) for n in range(COUNT, COUNT + 10)))
    bad = record_digest(decode_policy(policy(U8 | {"name": "Mockery"})))

    for publish in (False, True):
        with pytest.raises(UsageError, match=rf"acme@1 .* several records: .*\b{bad[:12]}\b.*; write acme@"):
            await retract(settings, "acme@1", Wanted(), "allow", publish=publish)
    assert await count(settings, "verdicts") == COUNT + 10

    done = await retract(settings, f"acme@{bad[:12]}", Wanted(), publish=True)
    assert (done.digests, done.published) == ({bad: 5}, 5)
    code, out, err = await rsafe(
        settings, "audit", "retract", "--policy", f"acme@{bad}", "--from", "-1h", "--to", "-0s"
    )
    assert (code, f"by digest: {bad[:12]} 5" in out) == (0, True), err


@pytest.mark.slow
async def test_a_chain_ends_in_its_last_record(settings: Settings, tmp_path: Path) -> None:
    """A retraction that was wrong is superseded in turn, and only the last record stands."""
    await retract(settings, "platform@1", Wanted(tenant_id="bazaar"), publish=True)
    await retract(settings, "platform@1", Wanted(tenant_id="bazaar"), "allow", publish=True)

    last = await retract(settings, "platform@1", Wanted(tenant_id="bazaar"), "allow", publish=True)
    report = await export(settings, Wanted(tenant_id="bazaar"), "jsonl", tmp_path / "v.jsonl")

    assert (last.published, last.already) == (0, COUNT // 2)
    assert report.exported == COUNT // 2
    assert {one["action"] for one in lines(tmp_path / "v.jsonl")} == {"allow"}
    assert await count(settings, "verdicts") == COUNT * 2
    assert (await verify(settings, Span()))[0].ok


@pytest.mark.slow
async def test_a_worker_that_reads_back_takes_no_superseding_verdict(settings: Settings) -> None:
    """What is published of a partition is the same before and after a retraction."""
    consumer = kafka.make_consumer(settings)
    await kafka.start(consumer, settings)
    try:
        wanted = dict.fromkeys(range(4), (0, None))
        before = await read_back(consumer, settings, wanted)
        await retract(settings, "platform@1", Wanted(), publish=True)
        after = await read_back(consumer, settings, wanted)
    finally:
        await kafka.close(consumer)

    assert sum(len(found.published) for found in before.values()) == COUNT
    assert {number: found.published for number, found in after.items()} == {
        number: found.published for number, found in before.items()
    }
    assert sum(found.ends.verdicts for found in after.values()) == 2 * COUNT


@pytest.mark.slow
async def test_a_retraction_that_was_cut_short_goes_on(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was acknowledged before the failure is found, the rest is published, each once."""
    real, sent = kafka.send, 0

    async def failing(*arguments: Any, **options: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent > COUNT // 3:
            text = "refused by the test"
            raise PublishFailed(text)
        return await real(*arguments, **options)

    monkeypatch.setattr(kafka, "send", failing)
    with pytest.raises(PublishFailed):
        await retract(settings, "platform@1", Wanted(), publish=True)
    monkeypatch.setattr(kafka, "send", real)

    rest = await retract(settings, "platform@1", Wanted(), publish=True)

    assert (rest.published, rest.already) == (COUNT - COUNT // 3, COUNT // 3)
    replaced = [one["supersedes"] for one in await verdicts(settings) if one.get("supersedes")]
    assert len(replaced) == len(set(replaced)) == COUNT


async def unsafe_ids(settings: Settings, category: str) -> list[str]:
    """Return acme's verdicts that hit a category, in the order of their messages."""
    found = await originals(settings)
    return [
        one["verdict_id"]
        for _, one in sorted(found.items())
        if one["tenant_id"] == "acme" and [hit["id"] for hit in one["categories"]] == [category]
    ]


@pytest.mark.slow
async def test_decisions_of_people_are_joined_to_verdicts(settings: Settings) -> None:
    """Kept by verdict, the last one counting, with precision by version and cases for the policy."""
    first, second, third, *_ = await unsafe_ids(settings, "U8")
    plain = Ruling(decision="uphold", reviewer="r1")
    overturn = structs.replace(plain, decision="overturn", text="A mild case of our own making.")

    await override(settings, first, overturn, Hint())
    await override(settings, second, overturn, Hint())
    await override(settings, second, plain, Hint())
    written = await override(settings, third, plain, Hint())
    report = await read_overrides(settings, Wanted())

    assert written.override.source.partition == written.partition
    assert (report.decisions, report.revised) == ({"uphold": 2, "overturn": 1, "modify": 0}, 1)
    assert (report.joined, report.gone, report.unreadable) == (3, 0, 0)
    ours = [one for one in report.precision if one.category == "U8"]
    assert {(one.scope, one.category) for one in report.precision} == {("acme", None), ("acme", "U8")}
    assert (sum(one.upheld for one in ours), sum(one.reviewed for one in ours)) == (2, 3)
    (case,) = report.proposals
    assert (case.verdict_id, case.label, case.text) == (first, "safe", "A mild case of our own making.")
    assert case.source.topic == settings.topic("messages")
    assert (await read_overrides(settings, Wanted(tenant_id="bazaar"))).joined == 0
    with pytest.raises(UsageError, match="own words"):
        await override(settings, third, structs.replace(overturn, text=text_of(2)), Hint())
    with pytest.raises(AuditError, match="no verdict"):
        await override(settings, "0" * 32, plain, Hint())
    stored = b"".join(record.value for record in await read_all(settings, "overrides"))
    assert not [secret for secret in PLANTED if secret.encode() in stored]


@pytest.mark.slow
async def test_the_commands(settings: Settings, tmp_path: Path) -> None:
    """Each prints JSON or lines; wrong use ends with 2."""
    out = str(tmp_path / "v.jsonl")
    (wanted, *_) = await unsafe_ids(settings, "U8")

    exported, plan, decided = await asyncio.gather(
        rsafe_json(settings, "audit", "export", "--tenant", "acme", "--out", out),
        rsafe_json(settings, "audit", "retract", "--policy", "acme@2", "--from", "-1h", "--to", "-0s"),
        rsafe_json(settings, "audit", "override", wanted, "--decision", "overturn", "--reviewer", "r1"),
    )
    (joined, told, table) = await asyncio.gather(
        rsafe_json(settings, "audit", "overrides"),
        rsafe(settings, "audit", "overrides"),
        rsafe(settings, "audit", "export", "--format", "dsa", "--out", str(tmp_path / "s.jsonl")),
    )
    wrong, nowhere = await asyncio.gather(
        rsafe(settings, "audit", "retract", "--policy", "acme", "--from", "-1h", "--to", "-0s"),
        rsafe(settings, "audit", "export", "--out", str(tmp_path / "none" / "v.jsonl")),
    )

    assert (exported["exported"], len(lines(tmp_path / "v.jsonl"))) == (COUNT // 2, COUNT // 2)
    assert (plan["planned"], plan["published"]) == (COUNT // 4, 0)
    assert decided["override"]["label"] == "safe"
    assert joined["decisions"]["overturn"] == 1
    assert "proposed as golden cases" in told[1]
    assert "cannot be stated" in table[1]
    assert "no notice in en" in table[1]
    assert (wrong[0], nowhere[0]) == (2, 2)
    assert "SCOPE@VERSION" in wrong[2]
    assert "cannot be written" in nowhere[2]
