from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.storage.arrival import Arrival, ArrivalShut, arriving
from proxy.storage.store import Source, parse_key, unheard
from tests.storage.bodies import body_of

SOURCE = Source(key=parse_key("a"), version="e:1", size_bytes=10, modified_at=datetime(2026, 11, 22, tzinfo=UTC))


@pytest.fixture
def file(into: Path) -> Iterator[BinaryIO]:
    with into.open("wb") as opened:
        yield opened


@given(data=st.data())
def test_parts_that_come_in_any_order_make_one_body_that_only_grows(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Each part comes in order, and parts come between each other."""
    parts, chunks = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    turns = data.draw(st.permutations([part for part in range(parts) for _ in range(chunks)]))
    body = body_of(parts * chunks * 3)
    into = tmp_path_factory.mktemp("arrival") / "into"
    told: list[int] = []

    def hear(_: Source, arrived_bytes: int) -> None:
        assert into.read_bytes()[:arrived_bytes] == body[:arrived_bytes]
        told.append(arrived_bytes)

    with into.open("wb") as file, arriving(file, hear) as arrival:
        arrival.begin(SOURCE)
        come = [0] * parts
        for part in turns:
            offset = (part * chunks + come[part]) * 3
            arrival.write(offset, body[offset : offset + 3])
            come[part] += 1
            whole = next((number for number in range(parts) if come[number] < chunks), parts)
            rest = come[whole] if whole < parts else 0
            assert told[-1] == (whole * chunks + rest) * 3
    assert into.read_bytes() == body
    assert told == sorted(set(told))


def test_nothing_is_written_or_told_of_a_shut_arrival(file: BinaryIO, into: Path) -> None:
    told: list[int] = []
    with arriving(file, lambda _, arrived: told.append(arrived)) as arrival:
        arrival.begin(SOURCE)
        arrival.write(0, b"one")
    with pytest.raises(ArrivalShut):
        arrival.write(3, b"two")
    with pytest.raises(ArrivalShut):
        arrival.append(b"two")
    with pytest.raises(ArrivalShut):
        arrival.begin(SOURCE)
    assert (into.read_bytes(), told) == (b"one", [0, 3])


def test_shutting_waits_for_the_chunk_that_is_being_told(file: BinaryIO) -> None:
    """Whoever closes the file next must not close it under a writer."""
    telling, go_on, shut = Event(), Event(), Event()

    def hear(_: Source, arrived_bytes: int) -> None:
        if arrived_bytes:
            telling.set()
            go_on.wait()

    arrival = Arrival(file, hear)
    arrival.begin(SOURCE)
    writer = Thread(target=arrival.write, args=(0, b"one"))
    writer.start()
    telling.wait()

    def shut_it() -> None:
        arrival.shut()
        shut.set()

    shutter = Thread(target=shut_it)
    shutter.start()
    assert not shut.wait(0.05)
    go_on.set()
    assert shut.wait(10)
    writer.join()
    shutter.join()


def test_the_listener_that_failed_is_not_told_again(file: BinaryIO) -> None:
    told: list[int] = []

    def fail(_: Source, arrived_bytes: int) -> None:
        told.append(arrived_bytes)
        raise LookupError

    with pytest.raises(LookupError), arriving(file, fail) as arrival:
        arrival.begin(SOURCE)
    with pytest.raises(ArrivalShut):
        arrival.begin(SOURCE)
    assert told == [0]


def test_bytes_before_their_source_are_refused(file: BinaryIO) -> None:
    with pytest.raises(ArrivalShut):
        Arrival(file, unheard).write(0, b"one")
