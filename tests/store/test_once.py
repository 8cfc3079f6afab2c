"""Idempotency-Key: one effect and one answer, however often and however concurrently it is repeated."""

import asyncio
import hashlib
import random

import pytest
from msgspec import Struct

from app.errors import Conflict, KeyReused
from app.store.once import KEEP_MS, Once
from app.store.store import Store
from app.store.tx import Tx
from tests.store.conftest import HandClock

SEEDED, FULL = 60, 1000


class Answer(Struct):
    n: int
    id: str


def act(tx: Tx) -> Answer:
    n = (tx.one("SELECT count(*) FROM audit") or (0,))[0]
    tx.run("INSERT INTO audit(at,type,kind,entity_id,data) VALUES(?,'t','k',?,'')", (tx.now, str(n)))
    return Answer(n, tx.new_id())


def once(key: str, asked: bytes = b"1", scope: str = "account") -> Once:
    return Once(scope, key, asked)


async def effects(store: Store) -> int:
    row = await store.read(lambda reader: reader.one("SELECT count(*) FROM audit"))
    assert row is not None
    return int(row[0])


async def repeat(store: Store, keys: int, seed: int) -> None:
    """Each key by 1 to 5 at once, keys mixed; then each once more."""
    dice = random.Random(seed)
    asked = [key for key in range(keys) for _ in range(dice.randint(1, 5))]
    dice.shuffle(asked)
    answers = await asyncio.gather(*(store.write(act, once=once(str(key)), returns=Answer) for key in asked))
    by_key: dict[int, set[tuple[int, str]]] = {}
    for key, answer in zip(asked, answers, strict=True):
        by_key.setdefault(key, set()).add((answer.n, answer.id))
    assert [key for key, different in by_key.items() if len(different) != 1] == []
    assert await effects(store) == keys
    for key in range(keys):
        answer = await store.write(act, once=once(str(key)), returns=Answer)
        assert by_key[key] == {(answer.n, answer.id)}
    assert await effects(store) == keys


async def test_concurrent_repeats_have_one_effect_and_one_answer(store: Store) -> None:
    await repeat(store, SEEDED, seed=2)


async def test_what_was_asked_is_not_to_be_guessed_from_the_disk(store: Store) -> None:
    asked = hashlib.sha256(b"POST\n/pair\n{pin: 12345678}").digest()
    await store.write(act, once=once("k", asked), returns=Answer)
    rows = await store.read(lambda reader: reader.all("SELECT fingerprint FROM idempotency"))
    assert rows[0][0] not in (asked, hashlib.sha256(asked).digest())
    with pytest.raises(KeyReused):
        await store.write(act, once=once("k", asked[::-1]), returns=Answer)


@pytest.mark.full
async def test_a_thousand_keys_repeated(store: Store) -> None:
    await repeat(store, FULL, seed=3)


async def test_the_same_key_for_something_else_is_refused(store: Store) -> None:
    await store.write(act, once=once("k"), returns=Answer)
    with pytest.raises(KeyReused):
        await store.write(act, once=once("k", b"2"), returns=Answer)
    assert await effects(store) == 1


async def test_keys_are_their_senders_own(store: Store) -> None:
    await store.write(act, once=once("k"), returns=Answer)
    await store.write(act, once=once("k", scope="somebody else"), returns=Answer)
    assert await effects(store) == 2


async def test_what_failed_may_be_tried_again_under_its_key(store: Store) -> None:
    def refuse(tx: Tx) -> Answer:
        act(tx)
        raise Conflict

    with pytest.raises(Conflict):
        await store.write(refuse, once=once("k"), returns=Answer)
    assert (await store.write(act, once=once("k"), returns=Answer)).n == 0


async def test_an_answer_of_nothing_is_an_answer(store: Store) -> None:
    def quiet(tx: Tx) -> None:
        act(tx)

    for _ in range(2):
        await store.write(quiet, once=once("k"))
    assert await effects(store) == 1


async def test_after_a_day_a_key_is_new(store: Store, clock: HandClock) -> None:
    await store.write(act, once=once("k"), returns=Answer)
    clock.ms += KEEP_MS + 1
    assert (await store.write(act, once=once("k"), returns=Answer)).n == 1
