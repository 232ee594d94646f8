"""The pure parts of a replay: filters, the sample, policies as they were, what is published already, the options."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from tests.support.policies import category, policy, raw
from worker.audit.replay.originals import Original, Written, control_id
from worker.audit.replay.plan import is_control, new_run_id, usual_share, wants_message, wants_original
from worker.audit.replay.policies import AsJudged, AsOfNow, PolicyArchive, WithFile, checked, resolver
from worker.commands.replay import ReplayOptions, plan_of, replay
from worker.config import Settings
from worker.errors import AuditError, PolicyInvalid, UsageError
from worker.policy.history import Book, Incoming, decide_all
from worker.policy.model import NO_POLICY
from worker.policy.scope import parse
from worker.records import HistoryEntry, Message, PolicyRef, decode, encode
from worker.replay_records import ReplayFilter, ReplayPolicies, ReplayRange

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
HATE, SPAM, ODD = category("U7", "Hate"), category("U8", "Spam"), category("U9", "Odd")


def message(tenant: str = "acme", channel: str | None = None) -> Message:
    """Build a message."""
    return Message(
        tenant_id=tenant, message_id="m1", text="hello", channel_id=msgspec.UNSET if channel is None else channel
    )


def history(*records: tuple[str, bytes | None]) -> list[HistoryEntry]:
    """Return what workers would decide about these policy records, in their order."""
    incoming = [
        Incoming(key=key.encode(), value=value, offset=offset, timestamp=1000 + offset)
        for offset, (key, value) in enumerate(records)
    ]
    return [entry for _, entry in decide_all(Book(), incoming, by="w", now=NOW)]


def ref_after(entries: list[HistoryEntry], tenant: str = "acme", channel: str | None = None) -> PolicyRef:
    """Return what a verdict would name once these decisions were in force."""
    effective = PolicyArchive(entries).today(message(tenant, channel))
    assert effective is not None
    return effective.ref


def test_every_policy_that_ever_judged_is_rebuilt() -> None:
    """After each decision, floor, tenant and channel give a digest; the whole history gives all of them again."""
    entries = history(
        ("platform", raw(HATE)),
        ("acme", raw(SPAM)),
        ("acme/lobby", raw(ODD)),
        ("acme", raw(SPAM, ODD, version=2, text="In doubt ask.")),
        ("platform", raw(HATE, version=2, default_action="block")),
        ("acme", raw(SPAM, version=3)),
    )
    refs = [ref_after(entries[:number], channel="lobby") for number in range(1, len(entries) + 1)]
    archive = PolicyArchive(entries)

    rebuilt = [archive.rebuild(ref) for ref in refs]

    assert [one.ref for one in rebuilt if one is not None] == refs
    assert len({ref.digest for ref in refs}) == len(refs)
    assert archive.rebuild(NO_POLICY) is None


def test_a_policy_is_rebuilt_as_before_the_floor_asked_for_itself() -> None:
    """Verdicts from before name the digest of a policy whose floor was asked as the tenant said; it is found too."""
    entries = history(("platform", raw(HATE)), ("acme", raw(SPAM, reasoning="never")))
    archive = PolicyArchive(entries)
    today = archive.today(message())
    assert today is not None
    before = structs.replace(today, judging=structs.replace(today.judging, floor=msgspec.UNSET))

    rebuilt = [archive.rebuild(one.ref) for one in (today, before)]

    assert before.digest != today.digest
    assert [[call.asking.reasoning for call in one.calls] for one in rebuilt if one is not None] == [
        ["always", "never"],
        ["never", "never"],
    ]


def test_a_policy_that_was_deleted_is_rebuilt_but_not_in_force() -> None:
    """A tombstone ends a policy today, and takes nothing from the past."""
    entries = history(("platform", raw(HATE)), ("acme", raw(SPAM)), ("acme", None))
    before = ref_after(entries[:2])
    archive = PolicyArchive(entries)
    today = archive.today(message())

    rebuilt = archive.rebuild(before)

    assert rebuilt is not None
    assert rebuilt.ref == before
    assert today is not None
    assert [part.scope for part in today.parts] == ["platform"]


def test_what_the_history_lacks_is_not_made_up() -> None:
    """A part that is missing, or a digest that the parts do not give, is refused."""
    entries = history(("platform", raw(HATE)), ("acme", raw(SPAM)))
    ref = ref_after(entries)

    with pytest.raises(AuditError, match="cannot be rebuilt"):
        PolicyArchive(entries[:1]).rebuild(ref)
    with pytest.raises(AuditError, match="cannot be rebuilt"):
        PolicyArchive(entries).rebuild(structs.replace(ref, digest="0" * 64))


def test_a_refused_record_is_never_judged_by() -> None:
    """Neither its content nor its version is found."""
    entries = history(("acme", raw(SPAM, version=2)), ("acme", raw(ODD, version=1)))
    archive = PolicyArchive(entries)
    today = archive.today(message())

    assert [entry.decision for entry in entries] == ["accepted", "refused"]
    assert today is not None
    assert [item.id for item in today.judging.categories] == ["U8"]


def test_a_file_replaces_one_part() -> None:
    """The other parts stay as they were judged; whom the file does not speak for is left alone."""
    entries = history(("platform", raw(HATE)), ("acme", raw(SPAM)), ("bazaar", raw(SPAM)))
    archive = PolicyArchive(entries)
    trial = WithFile(archive, parse("acme"), checked(parse("acme"), raw(ODD), archive))
    of_acme, of_bazaar = ref_after(entries), ref_after(entries, "bazaar")

    changed = trial.resolve(message(), of_acme)
    other = trial.resolve(message("bazaar"), of_bazaar)

    assert changed is not None
    assert [item.id for item in changed.judging.categories] == ["U7", "U9"]
    assert [part.offset for part in changed.parts] == [0, None]
    assert other is not None
    assert other.ref == of_bazaar


def test_a_file_of_a_channel_or_of_the_floor() -> None:
    """A channel's file is added for its messages alone; the floor's replaces the floor for everybody."""
    entries = history(("platform", raw(HATE)), ("acme", raw(SPAM)))
    archive = PolicyArchive(entries)
    ref = ref_after(entries)
    channel = WithFile(archive, parse("acme/lobby"), checked(parse("acme/lobby"), raw(ODD), archive))
    floor = WithFile(archive, parse("platform"), checked(parse("platform"), raw(ODD, version=2), archive))

    def ids(trial: WithFile, one: Message) -> list[str]:
        found = trial.resolve(one, ref)
        assert found is not None
        return [item.id for item in found.judging.categories]

    assert ids(channel, message(channel="lobby")) == ["U7", "U8", "U9"]
    assert ids(channel, message()) == ["U7", "U8"]
    assert ids(floor, message("stranger")) == ["U9", "U8"]


def test_a_file_that_loosens_the_floor_is_refused() -> None:
    """A what-if under a policy that could never come into force would mislead."""
    archive = PolicyArchive(history(("platform", raw(category("U7", "Hate", action="block")))))
    loosened = ReplayPolicies(
        mode="file", history_end=0, scope="acme", policy=raw(category("U7", action="allow")).decode()
    )

    with pytest.raises(PolicyInvalid, match="action"):
        resolver(loosened, archive)


def test_who_needs_the_original() -> None:
    """As judged, and with a file in place of a part, a message without a verdict cannot be resolved; today it can."""
    archive = PolicyArchive(history(("platform", raw(HATE))))
    now = resolver(ReplayPolicies(mode="now", history_end=0), archive)
    judged = resolver(ReplayPolicies(mode="as-judged", history_end=0), archive)

    assert isinstance(now, AsOfNow)
    assert isinstance(judged, AsJudged)
    assert (now.needs_original, judged.needs_original) == (False, True)
    assert now.resolve(message(), None) is not None
    with pytest.raises(AuditError):
        judged.resolve(message(), None)


def test_the_message_filter() -> None:
    """Times are half open, and tenant and channel are exact."""
    one = message("acme", "lobby")

    assert wants_message(ReplayFilter(), one, 5)
    assert wants_message(ReplayFilter(from_ms=5, to_ms=6), one, 5)
    assert not wants_message(ReplayFilter(from_ms=6), one, 5)
    assert not wants_message(ReplayFilter(to_ms=5), one, 5)
    assert wants_message(ReplayFilter(tenants=("x", "acme"), channels=("lobby",)), one, 5)
    assert not wants_message(ReplayFilter(tenants=("x",)), one, 5)
    assert not wants_message(ReplayFilter(channels=("lobby",)), message("acme"), 5)


def test_the_filter_by_the_original_verdict() -> None:
    """Only hits count, not what was cited below its threshold; without a verdict such a filter passes nothing."""
    plain: dict[str, Any] = {
        "message_id": "m1",
        "mode": "live",
        "run_id": None,
        "label": "unsafe",
        "categories": [{"id": "U7", "hit": True, "scope": "platform"}, {"id": "U8", "hit": False}],
        "policy": {"digest": None, "parts": []},
        "source": {"topic": "t", "partition": 0, "offset": 0, "timestamp": 0},
    }
    original = msgspec.convert(plain, Original)

    assert wants_original(ReplayFilter(), None)
    assert wants_original(ReplayFilter(labels=("unsafe",), categories=("U8", "U7")), original)
    assert not wants_original(ReplayFilter(categories=("U8",)), original)
    assert not wants_original(ReplayFilter(labels=("safe",)), original)
    assert not wants_original(ReplayFilter(labels=("safe",)), None)


def test_the_sample_is_fixed_and_fair() -> None:
    """Of 20,000 offsets about a tenth is in the sample, the same ones each time, others in another run."""
    chosen = [is_control("r1", 3, offset, 0.1) for offset in range(20_000)]

    assert 0.09 < sum(chosen) / len(chosen) < 0.11
    assert chosen == [is_control("r1", 3, offset, 0.1) for offset in range(20_000)]
    assert chosen != [is_control("r2", 3, offset, 0.1) for offset in range(20_000)]
    assert all(is_control("r1", 0, offset, 1.0) for offset in range(1000))
    assert not any(is_control("r1", 0, offset, 0.0) for offset in range(1000))


def test_the_usual_sample_is_a_tenth_and_at_least_a_hundred() -> None:
    """Small replays are judged twice as a whole, large ones for a tenth."""
    assert [usual_share(count) for count in (0, 50, 100, 400, 1000, 100_000)] == [1.0, 1.0, 1.0, 0.25, 0.1, 0.1]
    assert plan_of(ReplayOptions()).control_share is None


def test_a_control_cannot_be_taken_for_a_run() -> None:
    """Run ids are names, and the control's is none."""
    run_id = new_run_id(NOW)

    assert decode(encode(message(run_id)), Message, WrongRecord).tenant_id == run_id
    with pytest.raises(WrongRecord):
        decode(encode(message(control_id(run_id))), Message, WrongRecord)


def test_written_offsets_take_a_bit_each() -> None:
    """What was added is in, nothing else is, and offsets of other ranges are none of ours."""
    part = ReplayRange(partition=0, start=100, end=100_100, verdicts_start=0, verdicts_end=0, outputs_start=0)
    written = Written(part)
    odd = range(101, 100_100, 2)
    for offset in (*odd, 101, 99, 100_100, -1):
        written.add(offset)

    assert len(written) == len(odd)
    assert all(offset in written for offset in odd)
    assert not any(offset in written for offset in (*range(100, 100_100, 2), 99, 100_100, -1))
    assert len(written._bits) == 12_500


def test_options_become_a_plan(tmp_path: Path) -> None:
    """Times, offsets and a file whose name says its scope."""
    file = tmp_path / "acme.json"
    file.write_bytes(raw(SPAM))

    plan = plan_of(
        ReplayOptions(time_from="2026-03-01T00:00:00Z", time_to="2026-03-02", offsets=("3:5-9", "4"), policy=str(file))
    )

    assert plan.offsets == {3: (5, 9), 4: (0, None)}
    assert (plan.filter.from_ms, plan.filter.to_ms) == (1_772_323_200_000, 1_772_409_600_000)
    assert plan.filter.tenants == ("acme",)
    assert (plan.policies.mode, plan.policies.scope) == ("file", "acme")
    assert plan.policies.policy == raw(SPAM).decode()


def test_a_toml_file_and_the_floor(tmp_path: Path) -> None:
    """A TOML file is taken too, and the floor's file filters nobody."""
    file = tmp_path / "trial.toml"
    file.write_text('title = "Trial"\nversion = 2\ncategories = []\n')

    plan = plan_of(ReplayOptions(policy=str(file), scope="platform"))

    assert plan.filter == ReplayFilter()
    assert plan.policies.policy is not None
    assert decode(plan.policies.policy.encode(), type(policy()), WrongRecord).title == "Trial"


@pytest.mark.parametrize(
    "options, says",
    [
        ({"offsets": ("x",)}, "--offsets 'x'"),
        ({"offsets": ("1:9-5",)}, "--offsets '1:9-5'"),
        ({"time_from": "noon"}, "is no time"),
        ({"labels": ("bad",)}, "--label"),
        ({"tenants": ("a b",)}, "--tenant"),
        ({"policy": "no-such-file.json"}, "is neither"),
        ({"policy": "x.json", "scope": "a/b/c"}, "--scope"),
        ({"scope": "acme"}, "--scope goes with"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], says: str) -> None:
    """One line that names the option and what should stand there."""
    with pytest.raises(UsageError, match=says):
        plan_of(ReplayOptions(**options))


@pytest.mark.parametrize("options", [{"join": "r1", "policy": "now"}, {"report": "r1", "control": 0.5}])
def test_a_run_keeps_to_what_it_was_started_with(options: dict[str, Any]) -> None:
    """Options that say what to replay are refused where a run is joined or reported on."""
    with pytest.raises(UsageError, match="does not go with --join or --report"):
        replay(Settings(), ReplayOptions(**options))


class WrongRecord(PolicyInvalid):
    """What decoding raises in these tests."""
