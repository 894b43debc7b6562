"""Verifying: whether all chunks are there, and are what was stored. All are read, none is kept."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from objstore.care.owners import Owners, chunk_counts
from objstore.errors import (
    BucketNotFoundError,
    DigestMismatchError,
    LinkError,
    ObjectChangedError,
    ObjectCorruptError,
    ObjectNotFoundError,
)
from objstore.get.chunks import chunk_payloads
from objstore.metadata.links import follow
from objstore.metadata.listing import list_records
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo, stream_name
from objstore.readable import counted

__all__ = ["VerifyProblem", "VerifyReport", "verify_bucket", "verify_object"]

#: How often an object is read that is overwritten meanwhile.
TRIES = 10


@dataclass(frozen=True)
class VerifyProblem:
    """Something that is wrong in a bucket.

    Attributes:
        name: the object concerned; ``""`` where a malformed record's subject does not tell.
        kind: ``"digest"``: the content is not what was stored; ``"damaged"``: chunks are missing
            or too many, or their sizes are wrong; ``"malformed"``: the metadata cannot be read;
            ``"dangling link"``: a link leads to nothing; ``"link"``: links lead in a circle, or
            to a link to a bucket; ``"shared"``: other names have the same chunks, which an
            interrupted rename leaves: some clients remove them with either name; ``"hidden"``: an
            older client stored the name anew, under a subject where newer ones do not look;
            ``"changing"``: it was overwritten each time it was read.
        message: what is wrong, in a sentence.
    """

    name: str
    kind: str
    message: str


@dataclass(frozen=True)
class VerifyReport:
    """What was found by verifying a bucket, or one object.

    Attributes:
        bucket: the bucket that was verified.
        objects: how many were read, whole or until something was wrong; links are not objects.
        links: how many links were followed.
        bytes: how many bytes were read.
        unverified: how many of the objects have no digest to compare with; their size is right.
        orphaned_chunks: how many chunks no object owns, those of uploads in progress among them;
            not a problem, see ``collect_garbage``. Not counted for one object.
        problems: what is wrong.
    """

    bucket: str
    objects: int = 0
    links: int = 0
    bytes: int = 0
    unverified: int = 0
    orphaned_chunks: int = 0
    problems: tuple[VerifyProblem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def _repr_html_(self) -> str:
        """Return a small table for notebooks, with what is wrong below it."""
        from objstore.notebook.html import Size, record, table

        verdict = "all is well" if self.ok else counted(len(self.problems), "problem")
        fields = {
            "objects": self.objects,
            "links": self.links or None,
            "bytes": Size(self.bytes),
            "unverified": self.unverified or None,
            "orphaned_chunks": self.orphaned_chunks or None,
        }
        problems = [(each.name, each.kind, each.message) for each in self.problems]
        below = table(["name", "kind", "message"], problems) if problems else ""
        return record(self.bucket, f"verified: {verdict}", fields, below)


class _Verification:
    """The counts and problems of a verification, as they are found."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._objects = self._links = self._bytes = self._unverified = 0
        self._problems: list[VerifyProblem] = []

    def report(self, orphaned_chunks: int = 0) -> VerifyReport:
        return VerifyReport(
            self._records.bucket,
            self._objects,
            self._links,
            self._bytes,
            self._unverified,
            orphaned_chunks,
            tuple(self._problems),
        )

    def problem(self, name: str, kind: str, message: object) -> None:
        self._problems.append(VerifyProblem(name, kind, str(message)))

    def check(self, info: ObjectInfo) -> None:
        """Verify one live record, and what it leads to."""
        if info.link is not None:
            self._links += 1
            self._check_link(info)
            return
        self._objects += 1
        # Bounded: somebody may overwrite the object as fast as it is read.
        for _ in range(TRIES):
            try:
                self._read(info)
            except ObjectChangedError as error:
                # From the leader: a follower may still have the record that was just found to be
                # outdated.
                now = self._records.read(info.name, fresh=True)
                if now is None or now.deleted or now.link is not None:
                    self._objects -= 1  # it is gone, which is nothing wrong
                    return
                info, last = now, error
            except DigestMismatchError as error:
                self.problem(info.name, "digest", error)
                return
            except ObjectCorruptError as error:
                self.problem(info.name, "damaged", error)
                return
            else:
                self._unverified += bool(info.size and not info.digest)
                return
        self.problem(info.name, "changing", last)

    def _read(self, info: ObjectInfo) -> None:
        with warnings.catch_warnings():
            if not info.digest:
                warnings.simplefilter("ignore")  # that it is unverified, which is counted here
            # Counted and dropped, so that objects of any size are verified in little memory.
            for payload in chunk_payloads(self._records, info):
                self._bytes += len(payload)

    def _check_link(self, info: ObjectInfo) -> None:
        link = info.link
        if link is not None and link.name is None:
            try:
                # The bucket's stream is asked for, not its objects: an empty bucket is a good
                # target.
                self._records.jetstream.stream_info(stream_name(link.bucket))
            except BucketNotFoundError:
                self.problem(info.name, "dangling link", f"there is no bucket {link.bucket}")
            return
        try:
            if follow(self._records, info.name) is None:
                where = f"{link.name!r} in bucket {link.bucket}" if link is not None else "it"
                self.problem(info.name, "dangling link", f"there is no object {where}")
        except LinkError as error:
            self.problem(info.name, "link", error)
        except ObjectCorruptError as error:
            self.problem(info.name, "dangling link", error)


def verify_object(records: Records, name: str) -> VerifyReport:
    """Verify one object, or where a link leads; see :meth:`objstore.ObjectStore.verify`."""
    found = _Verification(records)
    try:
        info = records.read(name, fresh=True)
    except ObjectCorruptError as error:
        found.problem(name, "malformed", error)
        return found.report()
    if info is None or info.deleted:
        raise ObjectNotFoundError(
            f"there is no object {name!r} in bucket {records.bucket}",
            bucket=records.bucket,
            name=name,
        )
    found.check(info)
    return found.report()


def verify_bucket(records: Records) -> VerifyReport:
    """Verify everything; see :meth:`objstore.ObjectStore.verify`.

    Memory: 8 bytes for each object, one page of chunk subjects (100,000), and the problems.
    """
    found = _Verification(records)
    owners = Owners(records)
    for info in owners.load():
        found.check(info)
    # Found first and judged after catch_up, so that an upload that was committed in between is
    # none.
    orphans = {nuid: count for nuid, count in chunk_counts(records) if nuid not in owners}
    owners.catch_up()
    for name, error in owners.malformed.values():
        found.problem(name, "malformed", error)
    for info in owners.hidden:
        found.problem(info.name, "hidden", f"{info.name!r} has a newer record that is not found")
    for name, others in _sharing(records, owners.shared()):
        found.problem(name, "shared", f"{name!r} has the same chunks as {others}")
    return found.report(sum(count for nuid, count in orphans.items() if nuid not in owners))


def _sharing(records: Records, hashes: set[int]) -> Iterator[tuple[str, str]]:
    """Yield the names whose nuids have these hashes, each with the others of the same nuid."""
    # Nearly always: a shared nuid is what an interrupted rename leaves.
    if not hashes:
        return
    names: dict[str, list[str]] = {}
    # Names are not kept by Owners, which has 8 bytes for each object; so the few that share chunks
    # cost a second listing, and nobody else one.
    for info in list_records(records, lambda _message, _error: None):
        if not info.deleted and hash(info.nuid) in hashes and info.chunks:
            names.setdefault(info.nuid, []).append(info.name)
    for together in names.values():
        for name in together:
            others = ", ".join(repr(other) for other in together if other != name)
            if others:
                yield name, others
