"""Devices that fetch what waits for them: in order, on disk before they are given it, once or until they have it."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.control import queries
from app.control.dispatch import WINDOW
from app.control.model import Command
from app.control.states import State
from app.store.errors import StoreError
from app.store.tx import Tx
from tests.api.fake_link import ON, FakeLink, lamp_of
from tests.api.harness import Api


async def ask(client: httpx2.AsyncClient, path: str, count: int = 1, **more: Any) -> list[str]:
    """Ids of that many commands, an hour each."""
    return [(await client.post(path, json=ON | {"expires_in": 3600} | more)).json()["id"] for _ in range(count)]


def ids_of(commands: list[Command]) -> list[str]:
    return [command.id for command in commands]


async def on_disk(api: Api, command_id: str) -> State:
    command = await api.store.read(lambda reader: queries.command(reader, command_id))
    assert command is not None
    return command.state


async def test_what_is_taken_is_the_oldest_and_is_on_disk_as_sent(api: Api) -> None:
    anna = await api.person("anna")
    device_id, path = await lamp_of(api, anna)
    ids = await ask(anna, path, 5)
    taken = await api.services.control.take(device_id, 3)
    assert (ids_of(taken), {command.state for command in taken}) == (ids[:3], {State.SENT})
    assert [await on_disk(api, command_id) for command_id in ids] == [State.SENT] * 3 + [State.QUEUED] * 2
    assert [one["state"] for one in (await anna.get(path)).json()["items"]] == ["queued"] * 2 + ["sent"] * 3


async def test_it_is_given_again_until_it_is_acknowledged_and_then_never(api: Api) -> None:
    anna, control = await api.person("anna"), api.services.control
    device_id, path = await lamp_of(api, anna)
    ids = await ask(anna, path, 4)
    assert ids_of(await control.take(device_id, 2)) == ids[:2]
    assert ids_of(await control.take(device_id, 3)) == ids[:3]
    await control.acknowledged(device_id, ids[:2])
    assert ids_of(await control.take(device_id)) == ids[2:]
    await control.answered(device_id, ids[2], ok=True, values={"on": True}, error=None)
    assert ids_of(await control.take(device_id)) == ids[3:]
    states = [one["state"] for one in (await anna.get(path)).json()["items"]]
    assert states == ["sent", "answered", "delivered", "delivered"]


async def test_what_was_acknowledged_stays_so_over_a_restart_and_over_another_link(tmp_path: Path) -> None:
    async with Api(tmp_path / "data") as api:
        anna = await api.person("anna")
        device_id, path = await lamp_of(api, anna)
        ids = await ask(anna, path, 3)
        await api.services.control.take(device_id, 2)
        await api.services.control.acknowledged(device_id, ids[:1])
    async with Api(tmp_path / "data") as api:
        assert ids_of(await api.services.control.take(device_id)) == ids[1:]
        link = FakeLink(api)
        link.up(device_id)
        assert [(await link.next()).id for _ in range(2)] == ids[1:]
        assert link.sent.empty()


async def test_one_that_remembers_nothing_is_given_each_once_also_over_a_restart(tmp_path: Path) -> None:
    async with Api(tmp_path / "data") as api:
        anna = await api.person("anna")
        device_id, path = await lamp_of(api, anna)
        ids = await ask(anna, path, 3)
        taken = await api.services.control.take(device_id, 2, remembers=False)
        assert (ids_of(taken), await on_disk(api, ids[0])) == (ids[:2], State.DELIVERED)
    async with Api(tmp_path / "data") as api:
        assert ids_of(await api.services.control.take(device_id, remembers=False)) == ids[2:]
        assert await api.services.control.take(device_id, remembers=False) == []


async def test_several_at_once_of_one_that_remembers_nothing_share_what_there_is(api: Api) -> None:
    anna, control = await api.person("anna"), api.services.control
    device_id, path = await lamp_of(api, anna)
    ids = await ask(anna, path, 6)
    takes = await asyncio.gather(*(control.take(device_id, 2, remembers=False) for _ in range(4)))
    assert [ids_of(each) for each in takes] == [ids[:2], ids[2:4], ids[4:], []]


async def test_what_is_over_is_not_given_but_what_comes_after_it_is(api: Api) -> None:
    anna, control = await api.person("anna"), api.services.control
    device_id, path = await lamp_of(api, anna)
    await ask(anna, path, 1, expires_in=60)
    later = await ask(anna, path)
    api.forward(60_000)
    assert ids_of(await control.take(device_id)) == later


async def test_what_ends_while_it_is_being_written_is_not_given(api: Api) -> None:
    anna, control = await api.person("anna"), api.services.control
    device_id, path = await lamp_of(api, anna)
    await ask(anna, path, 2, expires_in=60)

    def act(tx: Tx) -> list[Command]:
        given = control.take_in(tx, device_id)
        assert len(given) == 2
        control.answered_in(tx, device_id, given[0].id, ok=True, values={})
        api.clock.set(given[1].expires_at)
        return given

    assert await api.store.write(act) == []


async def test_a_window_full_is_acknowledged_and_the_next_taken_in_one_act(api: Api) -> None:
    anna, control = await api.person("anna"), api.services.control
    device_id, path = await lamp_of(api, anna)
    ids = await ask(anna, path, 2 * WINDOW + 1)
    assert ids_of(await control.take(device_id, 1_000)) == ids[:WINDOW]

    def act(tx: Tx) -> list[Command]:
        control.acknowledged_in(tx, device_id, ids[:WINDOW])
        return control.take_in(tx, device_id)

    assert ids_of(await api.store.write(act)) == ids[WINDOW : 2 * WINDOW]


async def test_nothing_is_handed_out_where_the_disk_does_not_take_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    anna, control = await api.person("anna"), api.services.control
    device_id, path = await lamp_of(api, anna)
    ids = await ask(anna, path, 2)

    def fails(*_: object) -> None:
        raise StoreError

    with monkeypatch.context() as patch:
        patch.setattr(queries, "set_sent", fails)
        with pytest.raises(StoreError):
            await control.take(device_id)
    assert [await on_disk(api, command_id) for command_id in ids] == [State.QUEUED] * 2
    assert ids_of(await control.take(device_id, remembers=False)) == ids


async def test_who_is_sent_its_commands_has_none_to_fetch(api: Api) -> None:
    anna, link, control = await api.person("anna"), FakeLink(api), api.services.control
    device_id, path = await lamp_of(api, anna)
    ids = await ask(anna, path, 2)
    link.up(device_id)
    assert [(await link.next()).id for _ in ids] == ids
    assert await control.take(device_id) == []


async def test_what_a_link_sends_while_it_is_being_taken_is_given_by_that_alone(api: Api) -> None:
    anna, link, control = await api.person("anna"), FakeLink(api), api.services.control
    device_id, path = await lamp_of(api, anna)
    ids = await ask(anna, path, 2)

    def act(tx: Tx) -> list[Command]:
        tx.after(lambda: link.up(device_id))
        return control.take_in(tx, device_id, remembers=False)

    assert await api.store.write(act) == []
    assert [(await link.next()).id for _ in ids] == ids
    assert link.sent.empty()


async def test_a_link_that_acknowledges_is_not_sent_it_again_and_has_room_for_more(api: Api) -> None:
    anna, link, control = await api.person("anna"), FakeLink(api), api.services.control
    device_id, path = await lamp_of(api, anna)
    link.up(device_id)
    ids = await ask(anna, path, WINDOW + 2)
    assert ids_of([await link.next() for _ in range(WINDOW)]) == ids[:WINDOW]
    control.acknowledged_soon(device_id, ids[0])
    assert (await link.next()).id == ids[WINDOW]
    link.up(device_id)
    assert ids_of([await link.next() for _ in range(WINDOW)]) == ids[1 : WINDOW + 1]
    await control.acknowledged(device_id, ids[:1])
    assert await on_disk(api, ids[0]) is State.DELIVERED


async def test_a_link_that_acknowledges_while_it_is_handed_each_is_handed_each_once(api: Api) -> None:
    anna, link, control = await api.person("anna"), FakeLink(api), api.services.control
    device_id, path = await lamp_of(api, anna)
    ids = await ask(anna, path, WINDOW + 3)
    link.on_send = lambda command: control.acknowledged_soon(device_id, command.id)
    link.up(device_id)
    assert ids_of([await link.next() for _ in ids]) == ids
    ids += await ask(anna, path)
    assert (await link.next()).id == ids[-1]
    link.up(device_id)
    assert link.sent.empty()


async def test_an_acknowledgement_of_another_device_is_none(api: Api) -> None:
    anna, control = await api.person("anna"), api.services.control
    _, path = await lamp_of(api, anna)
    ids = await ask(anna, path)
    await control.acknowledged("another", [*ids, "none such"])
    assert await on_disk(api, ids[0]) is State.QUEUED
