"""A short run of every target, and the inputs that once broke something."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import seeds
from tests.fuzz.__main__ import SEED, main
from tests.fuzz.findings import crash
from tests.fuzz.results import Outcome, Results, markdown, merged, told
from tests.fuzz.run import MISSING, Fuzzer, available
from tests.fuzz.target import SPLIT, joined
from tests.fuzz.targets import TARGETS
from tests.fuzz.words import dictionary

#: Over this many inputs a target's share is taken; the long run takes a million.
SHORT: int = 2000
_DEEP = b"[" * 3000

#: What broke something once, by target: each of these took a worker, a command or an audit down.
FOUND: tuple[tuple[str, bytes], ...] = (
    # A record of `verdicts` with a field nested deeply, unknown to us: the read-back, and so the worker, never started.
    ("verdict", b'{"a":' + _DEEP),
    ("verdict", seeds.verdicts()[-1]),
    # Numbers of more than 64 bits in a verdict's source ended an audit.
    ("verdict", b"".join(one for one in seeds.verdicts() if b"1" + b"0" * 30 in one)[:4000]),
    # A null value in `verdicts` and `traces`.
    ("verdict", b""),
    ("trace", b""),
    ("commit-metadata", b'{"a":' + _DEEP),
    ("dead-letter", joined(b'{"a":' + _DEEP, seeds.letter_headers(), b"x")),
    ("dead-letter", joined(b"{}", seeds.letter_headers().replace(b"attempts=1", b"attempts=" + b"9" * 5000))),
    # A batch of an old format whose length is another: an assertion of the library's.
    (
        "batch",
        base64.b64decode(
            "dwAAAAAAAP//////AAAAA0wAAAAGa2V5HnZhbHVldmFsdWV2YWx1ZQQIbmFtZQIxCm90aGVyAUwAAAIGa2V5HnZhbHVldmFs"
            "dWV2YWx1ZQQIbmFtZQIxCm90aGVyAUwAAAQGa2V5HnZhbHVldmFsdWV2YWx1ZQQIbmFtZQIxCm90aGVyAQAAAAAAAAAAAAAA"
            "pv////8CtbJsMQAAAAAAAgAAAYvP5WgAAAABi8/laAD//////////////////wAAAANMAAAABmtleR52YWx1ZXZhbHVldmFs"
            "dWUECG5hbWUCMQpvdGhlcgFMAAACBmtleR52YWx1ZXZhbHVldmFsdWUECG5hbWUCMQpvdGhlcgFMAAAEBmtleR52YWx1ZXZh"
            "bHVldmFsdWUECG5hbWUCMQpvdGhlcgE="
        ),
    ),
    # A batch whose lengths lead out of it, under a checksum that fits: the process ended with a segmentation fault.
    (
        "batch",
        base64.b64decode("ckwAAAAGa2V5HnZhbHVldmFsdWV2YWx1ZQQI//5tZQIxCm90aGVyAUwAAAIGa2V5/v///w8edmFsdWV2YWx1ZQ=="),
    ),
    ("batch", base64.b64decode("cwAAAABpbnN0YW5jIF9pZGU9IM/laAAgPSDP5WgAAAsLCwAAKVbqhdhkID0gz+VoAAALCwsAAClW6oXYihI=")),
    ("policy-file", b"a = " + _DEEP),
    ("policy-file", b"a = " + b"9" * 5000),
    ("settings", b"a = " + _DEEP),
    ("settings", joined(b"", b"RSAFE_BUFFER_MIB=9\xc7")),
    ("model-folder", b"a = " + _DEEP),
    ("pack-labels", joined(b"# A (SP2)", b"text,label\n" + b"x" * 140_000 + b",safe")),
    ("pack-labels", joined(b"# A (SP2)", b'text,label\n"a",safe\rb')),
    ("report-labels", b"message_id,label\n" + b"x" * 140_000 + b",safe\n"),
    ("report-labels", b'{"message_id": "m1", "label": "safe", "a": ' + _DEEP),
    ("arguments", b"9" * 5000 + b"/1"),
    ("arguments", b"a=" + _DEEP),
    ("arguments", b"a=\xff"),
)


@pytest.mark.parametrize("target, data", FOUND, ids=[f"{name}-{number}" for number, (name, _) in enumerate(FOUND)])
def test_what_broke_once_is_mended(target: str, data: bytes) -> None:
    """Each input that a run has found is taken in good order."""
    TARGETS[target].run(data)


@pytest.fixture(scope="module")
def fuzzer() -> Iterator[Fuzzer]:
    """One process for all targets: importing and instrumenting takes seconds."""
    if not available():
        pytest.skip(MISSING)
    with Fuzzer() as process:
        yield process


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_finds_nothing(fuzzer: Fuzzer, name: str) -> None:
    """Inputs that coverage steers, from the seeds on: none crashes, none hangs."""
    outcome, findings = fuzzer.fuzz(name, max(50, round(SHORT * TARGETS[name].share)), SEED)

    assert [told(one) for one in findings] == []
    assert outcome.inputs > 0
    assert outcome.branches > 0


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.share >= 0.1])
def test_any_bytes_and_any_mixture_of_seeds_are_taken(name: str) -> None:
    """The same targets under hypothesis, which is there on every machine: bytes, and pieces of seeds put together."""
    some = TARGETS[name].seeds()
    pieces = st.sampled_from(some) | st.sampled_from(some).map(lambda seed: seed[: len(seed) // 2]) | st.binary()

    @given(st.lists(pieces, max_size=4), st.sampled_from([b"", SPLIT, b"\n"]))
    @settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example])
    def take(parts: list[bytes], between: bytes) -> None:
        TARGETS[name].run(between.join(parts))

    take()


def test_a_finding_says_how_it_is_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """An error that a target lets out is named with its place and a command; the command runs that input."""
    try:
        TARGETS["policies"].run(None)  # type: ignore[arg-type]  # what no parser takes
    except AttributeError as error:
        finding = crash("policies", error, b"\x00input")
    assert told(finding).startswith("crash in policies at tests/target.py:")
    assert finding.repeat == "python -m tests.fuzz --target policies --input AGlucHV0"

    assert main(["--target", "policies", "--input", "AGlucHV0"]) == 0
    assert "nothing wrong" in capsys.readouterr().out


def test_the_dictionary_is_one_of_libfuzzers() -> None:
    """Every line is a quoted word without a control character, and fields and settings are among them."""
    lines = dictionary().splitlines()

    assert all(line.isprintable() and line[0] == line[-1] == '"' and len(line) > 2 for line in lines)
    assert r'"\x22tenant_id\x22"' in lines
    assert '"RSAFE_BUFFER_MIB="' in lines


def test_a_later_run_of_one_target_takes_its_place() -> None:
    """The table has each target once, and its figures are those of the last run."""
    first, second = (
        Results(
            date=dt.datetime(2026, 3, day, tzinfo=dt.UTC),
            seed=1,
            hang_s=20,
            outcomes=tuple(
                Outcome(target=name, inputs=10 * day, crashes=2 - day, hangs=0, branches=5) for name in names
            ),
        )
        for day, names in ((1, ("message", "batch")), (2, ("batch",)))
    )
    both = merged(first, second)

    assert (both.inputs, both.faults) == (30, 1)
    assert markdown(both, TARGETS).splitlines()[0].startswith("Run on 2026-03-02 with seed 1: 30 inputs, 1 crashes")
