"""The limit: what one thread with a plain socket can do in Python, with none of objstore's code.

It puts and gets real objects, but promises nothing: no check of what is replaced, no retry, no
reconnect, nothing after a failure. Whoever is near it wastes little.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.peers.base import MIME, address_of

__all__ = ["Raw", "RawSocket"]

#: Bytes under way: of chunks that are not acknowledged, of chunks that were asked for.
WINDOW = 4 << 20
#: Bytes in one batch of direct gets; two of them are under way.
BATCH = 2 << 20
#: Bytes received at once; more does not fit the processor's cache beside what is hashed.
SLAB = 256 << 10


class RawSocket:
    """One connection, and what is read from it."""

    def __init__(self, url: str) -> None:
        host, port, token = address_of(url)
        self.socket = socket.create_connection((host, port), timeout=30)
        # Blocking, with the deadline in the kernel: Python's own costs a poll() for each call,
        # and lets sendmsg() return before all is sent.
        self.socket.settimeout(None)
        for deadline in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self.socket.setsockopt(socket.SOL_SOCKET, deadline, struct.pack("ll", 30, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._slab = bytearray(SLAB)
        self._view = memoryview(self._slab)
        self._start = self._end = 0
        self.line()  # INFO
        options = {"verbose": False, "headers": True, "no_responders": True, "auth_token": token}
        self.inbox = f"_INBOX.{secrets.token_hex(8)}"
        start = f"CONNECT {json.dumps(options)}\r\nSUB {self.inbox} 1\r\nPING\r\n"
        self.socket.sendall(start.encode())
        while self.line() != b"PONG":
            pass

    def _receive(self) -> None:
        """Have more bytes; what is left of the slab is moved to its front when it is full."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == SLAB:
            rest = bytes(self._view[self._start : self._end])
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        count = self.socket.recv_into(self._view[self._end :])
        if not count:
            raise ConnectionError("the server closed the connection")
        self._end += count

    def line(self) -> bytes:
        """The next line, without its end."""
        while (end := self._slab.find(b"\r\n", self._start, self._end)) < 0:
            self._receive()
        line = bytes(self._view[self._start : end])
        self._start = end + 2
        return line

    def head(self) -> tuple[int, int]:
        """The next message's sizes: of its headers, and of all; PINGs are answered."""
        while True:
            words = self.line().split()
            if words[0] == b"HMSG":
                return int(words[-2]), int(words[-1])
            if words[0] == b"MSG":
                return 0, int(words[-1])
            if words[0] == b"PING":
                self.socket.sendall(b"PONG\r\n")
            elif words[0] == b"-ERR":
                raise ConnectionError(b" ".join(words).decode())

    def take(self, count: int, use: Callable[[memoryview], object]) -> None:
        """Hand over the next ``count`` bytes, piece by piece as they are received."""
        while count:
            if self._start == self._end:
                self._receive()
            piece = self._view[self._start : min(self._end, self._start + count)]
            use(piece)
            self._start += len(piece)
            count -= len(piece)

    def exactly(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        parts: list[bytes] = []
        self.take(count, lambda piece: parts.append(bytes(piece)))
        return b"".join(parts)

    def message(self) -> tuple[bytes, bytes]:
        """The next message: headers and payload."""
        headers, size = self.head()
        whole = self.exactly(size + 2)
        return whole[:headers], whole[headers:-2]


class Raw:
    """A plain loop over one socket, in one thread.

    Arguments:
        url, bucket: where.
        chunk_size: of what is put, in bytes.
        hashing: as an object store must; without, what is read is only received, and what is
            put carries no digest.
    """

    def __init__(
        self, url: str, bucket: str, chunk_size: int = 128 << 10, *, hashing: bool = True
    ) -> None:
        self.name = f"raw socket, {chunk_size >> 10} KiB{'' if hashing else ', no hashing'}"
        self._wire = RawSocket(url)
        self._bucket, self._chunk_size, self._hashing = bucket, chunk_size, hashing

    def prepare(self, data: bytes) -> None:
        pass

    def put(self, names: Sequence[str], data: bytes) -> None:
        for name in names:
            self._put(name, memoryview(data))

    def _put(self, name: str, data: memoryview) -> None:
        nuid = secrets.token_hex(11)
        digest = hashlib.sha256()
        inbox = self._wire.inbox
        unanswered = chunks = 0
        limit = max(1, WINDOW // self._chunk_size)
        for start in range(0, len(data), self._chunk_size):
            chunk = data[start : start + self._chunk_size]
            head = f"PUB $O.{self._bucket}.C.{nuid} {inbox} {len(chunk)}\r\n".encode()
            self._send([head, chunk, b"\r\n"], len(head) + len(chunk) + 2)
            if self._hashing:
                digest.update(chunk)
            chunks += 1
            unanswered += 1
            if unanswered >= limit:
                self._take_ack()
                unanswered -= 1
        for _ in range(unanswered):
            self._take_ack()
        self._send_metadata(name, nuid, len(data), chunks, digest.digest())
        self._take_ack()

    def _send(self, parts: list[Any], size: int) -> None:
        if self._wire.socket.sendmsg(parts) < size:
            raise TimeoutError("the server took nothing for 30 s")

    def _send_metadata(self, name: str, nuid: str, size: int, chunks: int, digest: bytes) -> None:
        self._wire.socket.sendall(self._metadata(name, nuid, size, chunks, digest))

    def _metadata(self, name: str, nuid: str, size: int, chunks: int, digest: bytes) -> bytes:
        """The message that makes an object visible, with its protocol line."""
        key = base64.urlsafe_b64encode(name.encode()).decode()
        info = {
            "name": name,
            "headers": {"Content-Type": [MIME]},
            "bucket": self._bucket,
            "nuid": nuid,
            "size": size,
            "chunks": chunks,
            "digest": f"SHA-256={base64.urlsafe_b64encode(digest).decode()}",
            "mtime": "0001-01-01T00:00:00Z",
            "options": {"max_chunk_size": self._chunk_size},
        }
        headers = b"NATS/1.0\r\nNats-Rollup: sub\r\n\r\n"
        body = json.dumps(info).encode()
        sizes = f"{len(headers)} {len(headers) + len(body)}"
        line = f"HPUB $O.{self._bucket}.M.{key} {self._wire.inbox} {sizes}\r\n"
        return line.encode() + headers + body + b"\r\n"

    def _take_ack(self) -> None:
        _, payload = self._wire.message()
        if b'"error"' in payload or b'"seq"' not in payload:
            raise RuntimeError(f"not stored: {payload!r}")

    def fill(self, names: Sequence[str], data: bytes) -> None:
        """Put many one-chunk objects with many messages under way: to have something to list."""
        digest = hashlib.sha256(data).digest()
        unanswered = 0
        for start in range(0, len(names), 64):
            batch = []
            for name in names[start : start + 64]:
                nuid = secrets.token_hex(11)
                line = f"PUB $O.{self._bucket}.C.{nuid} {self._wire.inbox} {len(data)}\r\n"
                batch += [line.encode(), data, b"\r\n"]
                batch.append(self._metadata(name, nuid, len(data), 1, digest))
                unanswered += 2
            self._wire.socket.sendall(b"".join(batch))
            while unanswered > 512:
                self._take_ack()
                unanswered -= 1
        for _ in range(unanswered):
            self._take_ack()

    def get(self, names: Sequence[str]) -> int:
        return sum(map(self._get, names))

    def _ask(self, subject: str, payload: bytes = b"") -> None:
        head = f"PUB $JS.API.DIRECT.GET.{subject} {self._wire.inbox} {len(payload)}\r\n"
        self._wire.socket.sendall(head.encode() + payload + b"\r\n")

    def _info(self, name: str) -> tuple[dict[str, Any], int]:
        """An object's metadata, and the sequence of the message that holds them."""
        key = base64.urlsafe_b64encode(name.encode()).decode()
        self._ask(f"OBJ_{self._bucket}.$O.{self._bucket}.M.{key}")
        headers, payload = self._wire.message()
        if not payload:
            raise FileNotFoundError(name)
        return json.loads(payload), int(headers.partition(b"Nats-Sequence: ")[2].split()[0])

    def _get(self, name: str) -> int:
        info, sequence = self._info(name)
        subject, chunks = f"$O.{self._bucket}.C.{info['nuid']}", int(info["chunks"])
        digest = hashlib.sha256()
        if chunks == 1:
            self._ask(f"OBJ_{self._bucket}.{subject}")
            _, payload = self._wire.message()
            digest.update(payload)
            size = len(payload)
        else:
            use = digest.update if self._hashing else _ignore
            size = self._get_batches(subject, sequence - chunks, sequence, info, use)
        if size != info["size"]:
            raise RuntimeError(f"{size} bytes of {info['size']} came")
        expected = f"SHA-256={base64.urlsafe_b64encode(digest.digest()).decode()}"
        if self._hashing and expected != info["digest"]:
            raise RuntimeError("the digest differs")
        return size

    def _get_batches(
        self,
        subject: str,
        first: int,
        end: int,
        info: dict[str, Any],
        use: Callable[[memoryview], object],
    ) -> int:
        """Read the chunks, which lie side by side in the stream, by batches of direct gets."""
        per_batch = max(1, BATCH // -(-info["size"] // info["chunks"]))
        starts = iter(range(first, end, per_batch))

        def ask() -> bool:
            start = next(starts, None)
            if start is None:
                return False
            asked = {
                "next_by_subj": subject,
                "seq": start,
                "batch": min(per_batch, end - start),
            }
            self._ask(f"OBJ_{self._bucket}", json.dumps(asked).encode())
            return True

        open_batches = sum(ask() for _ in range(WINDOW // BATCH))
        size = 0
        while open_batches:
            header_size, whole = self._wire.head()
            headers = self._wire.exactly(header_size)
            if whole > header_size:
                self._wire.take(whole - header_size, use)
                size += whole - header_size
            elif b" 204 " in headers[:20]:
                open_batches += ask() - 1
            else:
                raise RuntimeError(f"no chunk: {headers!r}")
            self._wire.exactly(2)
        return size

    def info(self, names: Sequence[str]) -> None:
        for name in names:
            self._info(name)

    def list(self) -> int:
        """By batches of direct gets over all metadata, each parsed."""
        count = 0
        sequence: int | None = 1
        while sequence is not None:
            count, sequence = self._list_batch(sequence, count)
        return count

    def _list_batch(self, sequence: int, count: int) -> tuple[int, int | None]:
        asked = {"next_by_subj": f"$O.{self._bucket}.M.>", "seq": sequence, "batch": 1000}
        self._ask(f"OBJ_{self._bucket}", json.dumps(asked).encode())
        last = sequence
        while True:
            headers, payload = self._wire.message()
            if not payload:
                more = b"Nats-Num-Pending: 0" not in headers and b" 204 " in headers[:20]
                return count, last + 1 if more else None
            json.loads(payload)
            last = int(headers.partition(b"Nats-Sequence: ")[2].split(b"\r", 1)[0])
            count += 1

    def close(self) -> None:
        self._wire.socket.close()


def _ignore(_piece: memoryview) -> None:
    """Receive only."""
