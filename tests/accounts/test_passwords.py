"""Hashing off the loop, and the bound in front of it."""

import asyncio
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from app.accounts.passwords import MAX_WAITING, MEMORY_KIB, PASSES, Passwords
from app.errors import TooMany


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords()
    yield made
    made.close()


async def test_a_verifier_knows_its_password_and_no_other(passwords: Passwords) -> None:
    verifier = await passwords.hash("correct horse")
    assert await passwords.verify(verifier, "correct horse")
    assert not await passwords.verify(verifier, "correct hors")
    parameters = extract_parameters(verifier)
    assert (parameters.type, parameters.memory_cost, parameters.time_cost) == (Type.ID, MEMORY_KIB, PASSES)


async def test_the_same_characters_composed_otherwise_are_the_same_password(passwords: Passwords) -> None:
    verifier = await passwords.hash("Gr\u00fc\u00dfe an alle")
    assert await passwords.verify(verifier, "Gru\u0308\u00dfe an alle")


@pytest.mark.parametrize("verifier", [None, "", "not a verifier", "$argon2id$v=19$m=8,t=1,p=1$YQ$YQ"])
async def test_what_is_no_verifier_is_opened_by_nothing(passwords: Passwords, verifier: str | None) -> None:
    assert not await passwords.verify(verifier, "correct horse")


async def test_old_parameters_are_noticed(passwords: Passwords) -> None:
    old = await asyncio.to_thread(PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash, "correct horse")
    assert passwords.outdated(old)
    assert not passwords.outdated(await passwords.hash("correct horse"))


async def test_so_many_wait_and_no_more(passwords: Passwords) -> None:
    verifier = await passwords.hash("correct horse")
    answers = await asyncio.gather(
        *(passwords.verify(verifier, "x") for _ in range(MAX_WAITING + 8)), return_exceptions=True
    )
    assert sum(isinstance(a, TooMany) for a in answers) == 8
    assert await passwords.verify(verifier, "correct horse")
