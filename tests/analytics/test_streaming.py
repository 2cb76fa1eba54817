"""Chunks for a response: the first is made at once, the rest when they are wanted, and all is closed in any case."""

import threading
from collections.abc import Generator

import pytest

from analytics.export.streaming import InAThread, InAThreadOfALoop

Begin = type[InAThread] | type[InAThreadOfALoop]
BOTH: list[Begin] = [InAThread, InAThreadOfALoop]


class Source:
    """Three chunks; knows how many were made, where, and whether it was closed."""

    def __init__(self, fails: bool = False) -> None:
        self.fails, self.made, self.closed = fails, 0, threading.Event()
        self.threads: set[int] = set()

    def __call__(self) -> Generator[bytes, None, None]:
        try:
            for chunk in (b"a", b"b", b"c"):
                self.threads.add(threading.get_ident())
                if self.fails:
                    raise ZeroDivisionError
                self.made += 1
                yield chunk
        finally:
            self.threads.add(threading.get_ident())
            self.closed.set()


@pytest.mark.parametrize("begin", BOTH)
def test_the_first_chunk_is_made_at_once_and_no_other(begin: Begin) -> None:
    source = Source()
    body = begin(source())
    assert source.made == 1
    body.close()
    assert source.closed.wait(5)


@pytest.mark.parametrize("begin", BOTH)
def test_what_fails_at_once_fails_there(begin: Begin) -> None:
    source = Source(fails=True)
    with pytest.raises(ZeroDivisionError):
        begin(source())
    assert source.closed.wait(5)


def test_all_chunks_in_their_order() -> None:
    source = Source()
    assert list(InAThread(source())) == [b"a", b"b", b"c"]
    assert source.closed.wait(5)
    assert len(source.threads - {threading.get_ident()}) == len(source.threads) == 1


def test_nothing_is_a_body_too() -> None:
    assert b"".join(InAThread(chunk for chunk in ())) == b""


async def test_all_chunks_in_one_other_thread() -> None:
    source = Source()
    assert [chunk async for chunk in InAThreadOfALoop(source())] == [b"a", b"b", b"c"]
    assert source.closed.wait(5)
    assert len(source.threads - {threading.get_ident()}) == len(source.threads) == 1


async def test_a_reader_who_goes_away_closes_them_in_their_thread() -> None:
    source = Source()
    async for _ in (reading := aiter(InAThreadOfALoop(source()))):
        break
    await reading.aclose()  # type: ignore[attr-defined]
    assert source.closed.wait(5)
    assert source.made == 1
    assert len(source.threads) == 1


async def test_so_does_one_who_never_came() -> None:
    source = Source()
    body = InAThreadOfALoop(source())
    del body
    assert source.closed.wait(5)
    assert len(source.threads) == 1
