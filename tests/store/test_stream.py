"""The encryption of a backup: nothing but the whole file under the right passphrase is ever taken for content."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.store import stream
from app.store.errors import BackupDamaged, BackupUnusable, PassphraseWeak, PassphraseWrong
from app.store.stream import CHUNK, TAG, DecryptingReader, EncryptingWriter

PASSPHRASE = "correct horse"
HEADER = 59


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """scrypt is not what is tested here."""
    monkeypatch.setattr(stream, "LOG2_N", 2)


def sealed(content: bytes) -> bytes:
    out = io.BytesIO()
    writer = EncryptingWriter(out, PASSPHRASE)
    writer.write(content)
    writer.finish()
    return out.getvalue()


def opened(file: bytes, passphrase: str = PASSPHRASE) -> bytes:
    return DecryptingReader(io.BytesIO(file), passphrase).readall() or b""


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7])
def test_what_went_in_comes_out(size: int) -> None:
    content = bytes(n % 251 for n in range(size))
    assert opened(sealed(content)) == content


@given(st.lists(st.binary(max_size=3000), max_size=60))
def test_it_does_not_matter_how_it_was_written(parts: list[bytes]) -> None:
    out = io.BytesIO()
    writer = EncryptingWriter(out, PASSPHRASE)
    for part in parts:
        writer.write(part)
    writer.finish()
    assert opened(out.getvalue()) == b"".join(parts)


WHOLE_PLAIN = bytes(2 * CHUNK + 100)


@settings(max_examples=200)
@given(st.integers(min_value=0))
def test_cut_anywhere_it_is_refused(place: int) -> None:
    whole = sealed(WHOLE_PLAIN)
    with pytest.raises(BackupUnusable):
        opened(whole[: place % len(whole)])


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_cut_between_chunks_it_is_refused(chunks: int) -> None:
    with pytest.raises(BackupDamaged):
        opened(sealed(WHOLE_PLAIN)[: HEADER + chunks * (CHUNK + TAG)])


@settings(max_examples=200)
@given(st.integers(min_value=0), st.integers(0, 7))
def test_any_changed_bit_is_refused(place: int, bit: int) -> None:
    file = bytearray(sealed(b"content" * 100))
    file[place % len(file)] ^= 1 << bit
    # A header may now ask for a costlier scrypt; that is bounded, and not what this test spends its time on.
    if 17 <= place % len(file) < 20:
        return
    with pytest.raises(BackupUnusable):
        opened(bytes(file))


def test_chunks_cannot_change_places_or_be_followed() -> None:
    whole = sealed(WHOLE_PLAIN)
    size = CHUNK + TAG
    head, first, second, last = whole[:HEADER], whole[HEADER:][:size], whole[HEADER + size :][:size], whole[-116:]
    assert head + first + second + last == whole
    for wrong in (head + second + first + last, whole + last, whole + b"x", head + last):
        with pytest.raises(BackupDamaged):
            opened(wrong)


def test_a_wrong_passphrase_is_told_from_damage() -> None:
    with pytest.raises(PassphraseWrong):
        opened(sealed(b"x"), "incorrect horse")


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(PassphraseWeak):
        EncryptingWriter(io.BytesIO(), "1234567")


@pytest.mark.parametrize(("at", "value"), [(16, 2), (17, 0), (17, 40), (18, 255), (19, 9)])
def test_a_header_that_asks_too_much_is_refused_before_any_work(at: int, value: int) -> None:
    file = bytearray(sealed(b"x"))
    file[at] = value
    with pytest.raises(BackupUnusable):
        opened(bytes(file))


@given(st.binary(max_size=200))
def test_other_files_are_not_backups(file: bytes) -> None:
    with pytest.raises(BackupUnusable):
        opened(file)
