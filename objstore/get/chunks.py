"""Reading the chunks of an object, from any one on, by the requests that the server supports.

No consumer is ever created. One-chunk objects come by one direct get of their subject's last
message; larger ones by batches of direct gets, or one by one on servers before 2.11 and in
buckets without direct gets.
"""

from __future__ import annotations

from collections.abc import Generator

from objstore.errors import (
    BucketNotFoundError,
    DigestMismatchError,
    NoRespondersError,
    ObjectCorruptError,
)
from objstore.get.batched_gets import BatchedGets
from objstore.get.integrity import (
    Digester,
    Payload,
    check_count,
    verify_whole,
    why_incomplete,
    wrong_size,
)
from objstore.get.layout import Layout
from objstore.get.single_gets import SingleGets
from objstore.get.whole_buffer import WholeObjectBuffer
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo, chunk_subject
from objstore.wire.jetstream.read_limit import MOST

__all__ = ["Chunks", "chunk_payloads", "only_chunk"]


class Chunks:
    """The chunks of an open object.

    Arguments:
        records: the bucket that it is in.
        info: its metadata; not a link; of more than one chunk.
        whole: whether the whole object is wanted in one piece of memory.

    Attributes:
        buffer: the memory for the whole object, which must be told of each chunk; None: it is not
            wanted, or the chunks' places in it are not known beforehand.
        layout: what is known of the chunks' places; more is learned while they are read.
        full: the number of chunks under way when the whole object is read.

    Raises:
        ObjectCorruptError: the metadata do not say where the chunks are.
    """

    def __init__(self, records: Records, info: ObjectInfo, *, whole: bool = False) -> None:
        _check_nuid(info)
        self._records = records
        self._info = info
        self.layout = Layout(info.size, info.chunks, info.options.chunk_size, info.revision)
        self.buffer: WholeObjectBuffer | None = None
        # Only numbered answers say which chunk comes, before its bytes are received.
        if whole and records.access.numbered and WholeObjectBuffer.can_hold(self.layout):
            self.buffer = WholeObjectBuffer(self.layout, records.jetstream.pending_includes_self)
        # Two at least, however large: the next chunk travels while the last one is used.
        self.full = max(2, MOST // self.layout.typical)
        # Made at the first use, since a bucket's way of reading may be learned in between.
        self._gets: BatchedGets | SingleGets | None = None  # None: not needed yet
        self._index = 0

    @property
    def index(self) -> int:
        """The number of the chunk that comes next."""
        return self._index

    @property
    def asked(self) -> int:
        """The number of the first chunk that is not under way."""
        return self._index if self._gets is None else self._gets.asked

    def seek(self, index: int) -> None:
        """Go on from another chunk. What is under way is dropped; nothing is asked for yet."""
        self._index = index
        if self._gets is not None:
            self._gets.seek(index)

    def ask(self, ahead: int) -> None:
        """Ask for the next chunks, if that can be done without waiting."""
        if isinstance(gets := self._choose(), BatchedGets):
            gets.ask(ahead)

    def next(self, ahead: int) -> Payload:
        """Return the next chunk. Its number is certain; its size is not checked.

        Arguments:
            ahead: how many chunks to have under way, this one included.

        Raises:
            ObjectChangedError: the object was overwritten or deleted.
            ObjectCorruptError: chunks are missing.
            RequestTimeoutError, ConnectionLostError: the server does not answer. Then it can be
                asked for again.
        """
        try:
            # None comes where the bucket turns out to have no direct gets: then _choose goes on
            # from the same chunk by single gets.
            payload = None
            while payload is None:
                payload = self._choose().next(ahead)
            self._index += 1
        except BaseException:
            # After Ctrl-C, too, the same chunk can be asked for again; the answers that are under
            # way would be taken for answers to that.
            self.seek(self._index)
            raise
        return payload

    def last(self) -> Payload:
        """Return the last chunk: the last message of its subject. It takes one request, mostly.

        Where the metadata come right after it in the stream, it certainly is the last chunk.
        Otherwise chunks behind it may be lost, so the chunks are counted; in a cluster the last
        message is then read from the leader.

        Raises:
            As :meth:`next`.
        """
        records, info, layout = self._records, self._info, self.layout
        last = info.chunks - 1
        subject = chunk_subject(records.bucket, info.nuid)
        # Any server will do: chunks never change once they are stored under their nuid.
        stored = records.access.last_from_any(subject)
        if stored is None or not layout.is_sure(last, stored.sequence):
            check_count(records, info, last)
            # In a cluster a follower that lacks the last chunks gives an earlier one for the last.
            if records.jetstream.is_clustered or stored is None:
                stored = records.last_from_leader(subject)
            else:
                layout.counted = True
        if stored is None:
            raise why_incomplete(records, info, last)
        layout.learn(last, stored.sequence)
        return stored.payload

    def close(self) -> None:
        """Drop what is under way."""
        if self._gets is not None:
            self._gets.close()

    def _choose(self) -> BatchedGets | SingleGets:
        """Choose batched or single gets, anew where direct gets turned out to be missing."""
        gets, numbered = self._gets, self._records.access.numbered
        # Never back to batches: what a bucket or a user's rights do not give is learned once.
        if gets is None or (isinstance(gets, BatchedGets) and not numbered):
            what = self._records, self._info, self.layout
            gets = self._gets = BatchedGets(*what, self.buffer) if numbered else SingleGets(*what)
            gets.seek(self._index)
        return gets


def _check_nuid(info: ObjectInfo) -> None:
    if not info.nuid:
        raise ObjectCorruptError(
            f"the metadata of {info.name!r} name no chunks", bucket=info.bucket, name=info.name
        )


def only_chunk(records: Records, info: ObjectInfo) -> Payload:
    """Return the verified content of a one-chunk object: the last message of its subject.

    Where the server that answers has a damaged copy, or does not have it yet, the stream's leader
    is asked.

    Raises:
        As :func:`chunk_payloads`.
    """
    _check_nuid(info)
    subject = chunk_subject(records.bucket, info.nuid)
    try:
        stored = records.access.last(subject, leader=False)
    except NoRespondersError:  # no direct gets here
        stored = None
    except BucketNotFoundError as error:
        raise records.no_bucket() from error
    try:
        if stored is not None:
            return verify_whole(info, stored.payload)
    except (ObjectCorruptError, DigestMismatchError):  # maybe one replica of three is damaged
        pass
    # Where the leader's copy is wrong, too, the object is damaged.
    stored = records.last_from_leader(subject)
    if stored is None or len(stored.payload) != info.size:
        raise why_incomplete(records, info, 0)
    return verify_whole(info, stored.payload)


def chunk_payloads(records: Records, info: ObjectInfo) -> Generator[Payload, None, None]:
    """Yield all chunks of an object, counted and verified: the last one only after the digest.

    Arguments:
        records: the bucket that it is in.
        info: its metadata; not a link.

    Raises:
        ObjectChangedError: it was overwritten or deleted in between.
        ObjectCorruptError: chunks are missing, or their sizes do not add up.
        DigestMismatchError: they are not the bytes that were stored.
        RequestTimeoutError, ConnectionLostError: the server does not answer.
    """
    if not info.chunks:
        return
    if info.chunks == 1:
        yield only_chunk(records, info)
        return
    digester = Digester(info)
    chunks = Chunks(records, info)
    received = 0
    try:
        for index in range(info.chunks):
            payload = chunks.next(chunks.full)
            received += len(payload)
            # Exactly the last chunk ends the object: too few bytes or too many are seen before the
            # digest is.
            is_last = index == info.chunks - 1
            if received > info.size or is_last != (received == info.size):
                raise wrong_size(info)
            digester.add(index, payload)
            yield payload
    finally:
        chunks.close()
