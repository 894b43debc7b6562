"""Many small objects into a bucket: chunks, records and metadata under way together."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from objstore.errors import InvalidOptionError, ObjStoreError, about, say_name
from objstore.model.arguments import check_timeout, describe
from objstore.model.described_later import take_functions
from objstore.model.objects import DEFAULT_CHUNK_SIZE, ObjectInfo, ObjectMeta
from objstore.put import one_object
from objstore.put.one_object import OneChunk
from objstore.put.options import Payload
from objstore.put.source import Source
from objstore.put.upload import Put, forked_error
from objstore.store.handle import BucketHandle
from objstore.wire.codec.protocol import Buffer
from objstore.wire.jetstream.api import JetStream

__all__ = ["put_described", "put_many"]

LOG = logging.getLogger("objstore")

#: A put by the fast path, or by the general path.
AnyPut = OneChunk | Put

#: How many objects are under way at once, and how many of these with their metadata.
AHEAD, PUBLISHED = 64, 32

#: The messages of so many objects are sent at once: after a send of its own for each of them this
#: thread had to wait until the reader thread gave the interpreter back. It takes 0.8 of the
#: processor time.
GATHERED = 16

#: The largest object that takes part, in bytes, and how many are under way at once. Larger ones
#: go one by one, which fills the connection anyway.
SMALL, AHEAD_BYTES = DEFAULT_CHUNK_SIZE, 4 << 20


def put_many(
    handle: BucketHandle,
    items: Iterable[tuple[str | ObjectMeta, Payload]],
    *,
    timeout: float | None = None,
    **description: Any,
) -> list[ObjectInfo]:
    """Store objects, in order, with many requests under way at once."""
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        hint = "; use .items()" if isinstance(items, Mapping) else ""
        raise InvalidOptionError(
            f"items are an iterable of pairs (name, payload), not {type(items).__name__}{hint}"
        )
    timeout = check_timeout(timeout)
    return _store_all(handle, partial(_start_next, handle, iter(items), description, timeout))


def put_described(
    handle: BucketHandle, items: Iterable[tuple[ObjectInfo, bytes]]
) -> list[ObjectInfo]:
    """Store small objects that are described already, in order, many under way at once."""
    return _store_all(handle, partial(_start_described, handle, iter(items)))


def _store_all(handle: BucketHandle, start_next: Callable[[_UnderWay], bool]) -> list[ObjectInfo]:
    """Store one object after the other, many under way at once, until no next one starts."""
    under_way = _UnderWay(handle.jetstream)
    try:
        while start_next(under_way):
            if under_way.is_full:
                under_way.make_room()
        under_way.finish()
    except BaseException as error:
        under_way.abort()
        if isinstance(error, ObjStoreError):
            say_name(error)  # of many objects a traceback shows none
        raise
    return under_way.stored


def _start_described(
    handle: BucketHandle, items: Iterator[tuple[ObjectInfo, bytes]], under_way: _UnderWay
) -> bool:
    """Send the next object's chunks; False: none is left."""
    with under_way.finished_before_failing():
        item = next(items, None)
        if item is None:
            return False
        info, content = item
        # Its record would be asked for before the one under way is stored.
        if info.name in under_way:
            under_way.finish()
        _start(handle, info, content, under_way, None, None)
    return True


def _start_next(
    handle: BucketHandle,
    items: Iterator[object],
    description: dict[str, Any],
    timeout: float | None,
    under_way: _UnderWay,
) -> bool:
    """Send the next item's chunks, or store it alone; False: no item is left."""
    with under_way.finished_before_failing():
        # The iterable's own errors count as this item's.
        item = next(items, _END)
        if item is _END:
            return False
        meta, payload = _pair(item)
        is_link = isinstance(meta, ObjectMeta) and meta.options and meta.options.link
        # A copy: the functions are taken out of it, and are needed for each item.
        said = dict(description)
        finish = take_functions(said)
        info = None if is_link else describe(handle.name, meta, **said)
        if info is not None:
            if info.name in under_way:
                under_way.finish()  # in order, each replaces the one before
            if _start(handle, info, payload, under_way, timeout, finish):
                return True
        under_way.finish()
        under_way.stored.append(
            one_object.put(handle.records, meta, payload, timeout=timeout, **description)
        )
    return True


def _start(
    handle: BucketHandle,
    info: ObjectInfo,
    payload: object,
    under_way: _UnderWay,
    timeout: float | None,
    finish: Callable[[ObjectInfo], ObjectInfo] | None,
) -> bool:
    """Ask for the record that an object replaces, and send its chunks; False: it is not small."""
    records = handle.records
    if type(payload) is bytes and len(payload) <= SMALL and finish is None:
        size = one_object.chunk_size_of(records, info, len(payload))
        small = one_object.begin_one_chunk(
            records, info, len(payload), size, None, timeout, piggyback=True
        )
        if small is not None:
            _send(small, (payload,), len(payload), under_way)
            return True
    # What is no payload is found here, before there is a put whose errors say what they are about.
    with about(bucket=info.bucket, name=info.name), Source(payload) as source:
        if source.size is None or source.size > SMALL:
            return False
        size = one_object.chunk_size_of(records, info, source.size)
        put = one_object.begin_put(
            records,
            info,
            size,
            None,
            None,
            timeout=timeout,
            expected_size=source.size,
            piggyback=True,
        )
        put.finish_description = finish
        _send(put, source.chunks(size), source.size, under_way)
        return True


def _send(put: AnyPut, chunks: Iterable[Buffer], size: int, under_way: _UnderWay) -> None:
    """Send an object's chunks, of so many bytes together; its metadata follow later."""
    under_way.add(put, size)
    try:
        with _about(put):
            for chunk in chunks:
                put.send(chunk)
        under_way.send_some()
    except Exception:
        # This one alone: those before it are stored, and count.
        under_way.drop_last()
        put.abort()
        raise


#: After the last item.
_END = object()


class _UnderWay:
    """Objects whose chunks were sent, in order; of the first ones the metadata, too.

    Arguments:
        jetstream: the account.

    Attributes:
        stored: those that are done.
    """

    def __init__(self, jetstream: JetStream) -> None:
        self.stored: list[ObjectInfo] = []
        self._jetstream = jetstream
        self._puts: deque[tuple[AnyPut, int]] = deque()
        self._names: set[str] = set()
        self._bytes = 0
        self._published = 0  # of the puts
        self._failure: Exception | None = None  # of the first that is not published, or not stored
        self._process = os.getpid()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    @property
    def is_full(self) -> bool:
        """Whether a put must finish before another is added."""
        puts = len(self._puts)
        return (
            puts >= AHEAD or self._bytes > AHEAD_BYTES or (self._failure is not None and puts > 0)
        )

    @property
    def is_inherited(self) -> bool:
        """Whether this is a forked child, where the iterable's code can be: the parent goes on."""
        return self._process != os.getpid()

    def _check_process(self, put: AnyPut) -> None:
        """Refuse to go on in a forked child."""
        if self.is_inherited:
            raise forked_error(put.described.bucket, put.described.name)

    def add(self, put: AnyPut, size: int) -> None:
        """Add one more put, of so many bytes."""
        self._check_process(put)
        self._puts.append((put, size))
        self._names.add(put.described.name)
        self._bytes += size

    def send_some(self) -> None:
        """Send what waits to be sent together, if it is enough. Never fails."""
        if len(self._puts) % GATHERED == 0:
            self.send()

    def drop_last(self) -> None:
        """Drop the put that was added last."""
        put, size = self._puts.pop()
        self._names.discard(put.described.name)
        self._bytes -= size

    def send(self) -> None:
        """Send what waits to be sent together. Never fails."""
        self._jetstream.connection.session.flush_piggybacked()

    def step(self) -> None:
        """Publish the metadata of some, if it is their turn, and wait until one more is stored.

        Raises:
            Exception: it could not be.
        """
        put, size = self._puts[0]
        self._check_process(put)
        # Not one by one: so many go in one system call.
        if self._published <= PUBLISHED - GATHERED:
            self._publish()
        if self._failure is not None and not self._published:
            raise self._failure
        try:
            with _about(put):
                self.stored.append(put.commit())
        except Exception as error:
            # What is asked to finish once more fails with the same.
            self._failure, self._published = error, 0
            raise
        self._puts.popleft()
        self._names.discard(put.described.name)
        self._bytes -= size
        self._published -= 1

    def _publish(self) -> None:
        """Publish the metadata of the next ones, until one fails."""
        while self._published < min(len(self._puts), PUBLISHED) and self._failure is None:
            put, _ = self._puts[self._published]
            try:
                with _about(put):
                    put.publish()
            except Exception as error:  # noqa: BLE001 - raised when those before are stored
                self._failure = error
            else:
                self._published += 1
        self.send()

    def make_room(self) -> None:
        """Wait until half of the puts are stored.

        Not one: then each answer would wake this thread, and the reader thread wait for it.

        Raises:
            Exception: the first that could not be.
        """
        few, little = len(self._puts) // 2, self._bytes // 2
        while self._puts and (len(self._puts) > few or self._bytes > little or self._failure):
            self.step()

    def finish(self) -> None:
        """Wait until all puts are stored.

        Raises:
            Exception: the first that could not be.
        """
        while self._puts:
            self.step()

    @contextlib.contextmanager
    def finished_before_failing(self) -> Iterator[None]:
        """Store what is under way before the block's error is raised; their error goes first."""
        try:
            yield
        except Exception:
            if not self.is_inherited:
                self.finish()
            raise

    def abort(self) -> None:
        """Leave each object stored or not at all. Never raises.

        Where the server does not answer, this ends after one patience, not one for each.
        """
        if self.is_inherited:
            return
        self.send()
        deadline = time.monotonic() + self._jetstream.patience
        left = 0
        for put, _ in self._puts:
            if time.monotonic() < deadline:
                put.abort()
            else:
                put.forget()
                left += 1
        if left:
            LOG.warning(
                "the server does not answer: chunks of %d objects may stay behind; "
                "collect_garbage removes them",
                left,
            )


def _pair(item: object) -> tuple[Any, Payload]:
    """Return an item's name and payload.

    Raises:
        InvalidOptionError: the item is something else.
    """
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return item[0], item[1]
    raise InvalidOptionError(f"an item is a pair (name, payload), not {type(item).__name__}")


def _about(put: AnyPut) -> about:
    """Make a block whose errors say which object they are about."""
    return about(bucket=put.described.bucket, name=put.described.name)
