"""What a virtual device that calls home says, and does of what it is told."""

from app.links.heartbeat.codec import Done, Heard, Order
from app.virtual.heartbeat import HeartbeatVoice
from app.virtual.kinds import body_of
from app.virtual.process import product_named

LATER = 2_000


def is_on(voice: HeartbeatVoice) -> object:
    return voice.body.values["light"]["on"]


def lamp(**how: str) -> HeartbeatVoice:
    return HeartbeatVoice(body_of(product_named("lamp")), 60, **how)


def told(*orders: Order) -> Heard:
    return Heard(1_000, 60, orders)


def switch(command_id: str, *, on: bool = True, expires_at: int = LATER) -> Order:
    return Order(command_id, "set", expires_at, "light", {"on": on})


def test_it_says_everything_once_and_then_what_is_different() -> None:
    voice = lamp()
    first = voice.beat()
    assert (first.every, {said.service for said in first.services}) == (60, set(voice.body.values))
    assert voice.beat() == first  # as long as the hub does not have it
    voice.said(first)
    assert voice.beat().services == ()
    voice.changed({"light": {"on": True}})
    assert [(said.service, said.values) for said in voice.beat().services] == [("light", {"on": True})]


def test_each_command_is_done_once_and_answered_each_time() -> None:
    voice = lamp()
    voice.said(voice.beat())
    assert [order.id for order in voice.hear(told(switch("a"), switch("b", on=False)))] == ["a", "b"]
    assert voice.hear(told(switch("a"), switch("b", on=False))) == []
    assert is_on(voice) is False
    beat = voice.beat()
    assert beat.answers == (Done("a", ok=True, values={"on": True}), Done("b", ok=True, values={"on": False}))
    voice.said(beat)
    assert not voice.has_news
    assert voice.hear(told(switch("a"))) == []  # its answer was lost
    assert [done.id for done in voice.beat().answers] == ["a"]


def test_what_is_over_or_nonsense_is_not_done() -> None:
    voice = lamp()
    voice.hear(told(switch("late", expires_at=500), Order("odd", "set", LATER, "oven", {"on": True})))
    assert [(done.id, done.ok) for done in voice.beat().answers] == [("late", False), ("odd", False)]
    assert is_on(voice) is False
    unwilling = lamp(refuses="stuck")
    unwilling.hear(told(switch("a")))
    assert unwilling.beat().answers == (Done("a", ok=False, error="stuck"),)


def test_reset_it_forgets_everything_and_says_so_until_it_is_heard() -> None:
    voice = lamp()
    voice.hear(told(switch("a")))
    assert is_on(voice) is True
    (order,) = voice.hear(told(Order("r", "factory_reset", LATER), switch("b")))
    assert order.id == "r"
    assert is_on(voice) is False
    for _ in range(2):
        assert (voice.beat().answers, voice.beat().services) == ((Done("r", ok=True),), ())
