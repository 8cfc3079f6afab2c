"""Statement by statement, against our endpoint and, so that a check is known to be right, against Mosquitto."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.links.mqtt.house import House, house
from tests.links.mqtt.mosquitto import mosquitto
from tests.links.mqtt.statements import TABLE, Statement
from tests.links.mqtt.statements5 import TABLE5

ALL = TABLE + TABLE5


@pytest.fixture
async def ours(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "house") as made:
        yield made


@pytest.mark.parametrize("statement", ALL, ids=lambda each: each.number)
async def test_our_endpoint(ours: House, statement: Statement) -> None:
    await statement.check(ours.port)


async def test_mosquitto_agrees(tmp_path: Path) -> None:
    wrong = {}
    async with mosquitto(tmp_path / "broker") as port:
        for statement in ALL:
            if not statement.only_ours:
                try:
                    await statement.check(port)
                except Exception as error:
                    wrong[statement.number] = repr(error)
    assert wrong == {}


def test_the_table_names_each_statement_once() -> None:
    numbers = [each.number for each in ALL]
    assert len(numbers) == len(set(numbers))
