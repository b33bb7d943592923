# SPDX-License-Identifier: GPL-3.0-or-later
"""Places for calls under way: shares of addresses and connections, waiting in turn."""

import asyncio

import pytest

from gateway.serving.places import Place, Places


def taken(places, sharer, count=100):
    return sum(places.take(sharer) for _ in range(count))


def test_who_is_alone_may_take_all():
    places = Places(8)
    assert taken(places, ("host", "a")) == 8
    assert not places.is_free
    assert not places.admits(("host", "a"))


def test_a_second_connection_gets_its_share_when_all_are_taken():
    places = Places(8)
    taken(places, ("host", "a"))
    assert taken(places, ("host", "b")) == 4
    assert not places.take(("host", "a"))


def test_ten_connections_of_one_address_share_what_one_would_have():
    places = Places(80)
    for connection in range(10):
        for _ in range(8):
            places.take(("many", str(connection)))
    assert not places.is_free
    assert taken(places, ("one", "a")) == 40
    assert not places.take(("many", "0"))


def test_however_many_connections_there_are_no_more_than_four_times_the_places_are_taken():
    places = Places(64)
    total = sum(taken(places, ("host", str(number))) for number in range(300))
    assert total == 4 * 64


def test_what_is_given_back_can_be_taken():
    places = Places(2)
    taken(places, ("host", "a"))
    for _ in range(2):
        places.free(("host", "a"))
    assert taken(places, ("host", "b")) == 2


async def test_streams_that_wait_go_on_in_turn_of_their_connections():
    places = Places(1)
    one = Place(places, ("host", "c"))
    order = []

    async def wait(name, sharer):
        await places.wait_for(sharer)
        order.append(name)
        await asyncio.sleep(0)
        places.free(sharer)

    greedy = [asyncio.ensure_future(wait(f"a{number}", ("host", "a"))) for number in range(3)]
    modest = asyncio.ensure_future(wait("b", ("host", "b")))
    await asyncio.sleep(0)
    assert order == []
    one.leave()
    await asyncio.gather(*greedy, modest)
    assert order.index("b") == 1
    assert places.is_free


async def test_a_place_left_while_waiting_for_it_is_not_kept():
    places = Places(1)
    other = Place(places, ("host", "b"))
    place = Place(places, ("host", "a"))
    assert not place.is_held
    waiting = asyncio.ensure_future(place.again())
    await asyncio.sleep(0.01)
    place.leave()
    other.close()
    await waiting
    assert not place.is_held
    assert places.is_free


async def test_a_closed_place_waits_no_more():
    places = Places(1)
    other = Place(places, ("host", "b"))
    place = Place(places, ("host", "a"))
    waiting = asyncio.ensure_future(place.again())
    await asyncio.sleep(0.01)
    place.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    other.close()
    assert places.is_free


async def test_who_stops_waiting_in_the_moment_of_its_turn_leaves_the_place_to_the_next():
    places = Places(1)
    one = Place(places, ("host", "c"))
    waiting = [asyncio.ensure_future(places.wait_for(("host", name))) for name in "ab"]
    await asyncio.sleep(0)
    one.leave()
    waiting[0].cancel()
    await asyncio.wait(waiting)
    assert waiting[0].cancelled()
    assert not waiting[1].cancelled()
    places.free(("host", "b"))
    assert places.is_free


async def test_who_stopped_waiting_before_is_passed_over():
    places = Places(1)
    one = Place(places, ("host", "c"))
    waiting = [asyncio.ensure_future(places.wait_for(("host", name))) for name in "ab"]
    await asyncio.sleep(0)
    waiting[0].cancel()
    one.leave()
    await asyncio.wait(waiting)
    assert not waiting[1].cancelled()
    places.free(("host", "b"))
    assert places.is_free
