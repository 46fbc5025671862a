"""Between two threads: in order and complete, or the newest alone; never more than was asked for."""

import threading

import pytest

from edge.camera.handover import Finished, Handover
from tests.support.camera_fakes import until


def test_in_order_every_item_arrives_whoever_is_slower() -> None:
    place: Handover[int] = Handover(2)
    lost: list[int | None] = []

    def put() -> None:
        lost.extend(place.put(number) for number in range(100))
        place.finish()

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    found = [place.take() for _ in range(100)]
    thread.join()
    assert found == list(range(100)) and lost == [None] * 100
    with pytest.raises(Finished):
        place.take()


def test_the_newest_takes_the_place_of_what_nobody_took() -> None:
    place: Handover[int] = Handover(newest=True)
    assert [place.put(number) for number in range(4)] == [None, 0, 1, 2]
    assert place.waiting and place.take() == 3 and not place.waiting
    assert place.take(0) is None


def test_what_lies_there_when_it_is_finished_can_still_be_taken() -> None:
    place: Handover[int] = Handover()
    place.put(1)
    place.finish()
    assert place.take() == 1
    with pytest.raises(Finished):
        place.take()


def test_closing_wakes_both_sides_and_gives_back_what_is_left() -> None:
    full: Handover[int] = Handover()
    full.put(1)
    came: list[object] = []

    def take() -> None:
        with pytest.raises(Finished):
            empty.take()
        came.append("taker")

    empty: Handover[int] = Handover()
    threads = [
        threading.Thread(target=lambda: came.append(full.put(2)), daemon=True),
        threading.Thread(target=take, daemon=True),
    ]
    for thread in threads:
        thread.start()
    assert full.close() == [1] and empty.close() == []
    for thread in threads:
        thread.join()
    until(lambda: len(came) == 2)
    assert 2 in came and "taker" in came
    assert full.put(3) == 3
