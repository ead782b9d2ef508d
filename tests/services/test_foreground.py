"""Work that nobody waits for lets what somebody waits for go first."""

import asyncio

from app.services.foreground import Foreground


async def test_background_work_begins_when_the_last_change_has_ended() -> None:
    foreground, order = Foreground(), list[str]()

    async def background() -> None:
        await foreground.idle()
        order.append("background")

    with foreground.change():
        with foreground.change():
            waiting = asyncio.create_task(background())
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        order.append("change")
    await waiting
    assert order == ["change", "background"]


async def test_nothing_waits_for_ever() -> None:
    foreground = Foreground()
    with foreground.change():
        await foreground.idle()
    await foreground.idle()


async def test_one_that_gave_up_waiting_is_not_woken() -> None:
    foreground = Foreground()
    with foreground.change():
        waiting = asyncio.create_task(foreground.idle())
        await asyncio.sleep(0)
        waiting.cancel()
    await foreground.idle()
