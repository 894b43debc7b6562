"""Which streams cannot be written as buckets, and why: one table of nats-server's settings.

A stream may be made or changed by other tools. Some of its settings drop, move or hide what is
published, or refuse it after the chunks have travelled. Each row below was tried on nats-server
2.15.1 (``tests/store/test_unwritable.py`` tries them again); ``docs/buckets.rst`` has the same
table, and the settings that do no harm.

Sources: ADR-20 (the stream of a bucket), nats-server's stream.go (StreamConfig).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from objstore.errors import (
    BucketConfigError,
    BucketReadOnlyError,
    BucketSealedError,
    ObjStoreError,
)
from objstore.model.objects import bucket_subjects, stream_name

__all__ = ["HARMFUL", "Harmful", "covers", "harm_of", "refusal"]

_Config = Mapping[str, Any]


class Harmful(msgspec.Struct, frozen=True):
    """A setting of a stream that makes writing objects fail, or lose them.

    Attributes:
        field: the setting's name in the stream's configuration, as the server's API has it.
        is_set: tells whether the configuration of a bucket's stream has it.
        chunks: what becomes of the chunks that are published.
        records: what becomes of the metadata that are published.
        wanted: the value that does no harm; None: that depends on the bucket, or it is absent.
        is_final: the server does not change it in a stream that exists.
    """

    field: str
    is_set: Callable[[str, _Config], bool]
    chunks: str
    records: str
    wanted: Any
    is_final: bool = False

    def error(self, bucket: str, config: _Config) -> BucketConfigError:
        """Make the error that names the setting and says what to do."""
        actual = config.get(self.field)
        wanted = bucket_subjects(bucket) if self.field == "subjects" else self.wanted
        if self.is_final:
            remedy = "it cannot change any more: copy the objects into a new bucket"
        else:
            remedy = "remove it" if wanted is None else f"set it to {wanted!r}"
        return BucketConfigError(
            f"bucket {bucket} cannot be written: its stream {stream_name(bucket)} has "
            f"{self.field} {actual!r}, so chunks are {self.chunks}, "
            f"metadata are {self.records}; {remedy}",
            bucket=bucket,
            differences={self.field: (actual, wanted)},
        )


def _limit(config: _Config, field: str) -> int:
    """Return a limit of a stream; 0 if there is none."""
    return max(0, int(config.get(field) or 0))


def _drops_the_oldest(_bucket: str, config: _Config) -> bool:
    # "old" alone does no harm: without a limit nothing is ever dropped.
    limited = _limit(config, "max_msgs") or _limit(config, "max_bytes")
    return config.get("discard", "old") == "old" and limited > 0


def _moves(bucket: str, config: _Config) -> bool:
    transform = config.get("subject_transform") or {}
    source, dest = transform.get("src") or ">", transform.get("dest")
    moved = any(_meet(source, each) for each in bucket_subjects(bucket))
    # A transform of other subjects, or to the same ones, leaves the bucket's where they are.
    return bool(dest) and source != dest and moved


def _misses(bucket: str, config: _Config) -> bool:
    """Tell whether the stream lacks some of the bucket's subjects; a copy has none, and may."""
    # A subject that is missing may be another stream's: then that one acknowledges the chunks.
    own = config.get("subjects") or []
    wanted = [subject[:-1] + "*" for subject in bucket_subjects(bucket)]  # one token each
    return bool(own) and not all(any(covers(has, each) for has in own) for each in wanted)


#: nats-server stores messages with greater numbers, and finds none of them again.
_HIGHEST_FIRST = 1 << 62

#: Every setting that harms, in the order in which they are looked for.
#: A table, so that tests can try each row on a server.
HARMFUL: tuple[Harmful, ...] = (
    Harmful(
        "no_ack", lambda _, c: bool(c.get("no_ack")),
        "not acknowledged",
        "not acknowledged",
        False,
    ),
    Harmful(
        "retention", lambda _, c: c.get("retention", "limits") == "interest",
        "dropped, and acknowledged, where no consumer wants them",
        "dropped, and acknowledged, where no consumer wants them",
        "limits",
    ),
    Harmful(
        "retention", lambda _, c: c.get("retention", "limits") == "workqueue",
        "removed once a consumer has acknowledged them",
        "removed once a consumer has acknowledged them; the bucket cannot be watched",
        "limits", is_final=True,
    ),
    Harmful(
        "max_msgs_per_subject", lambda _, c: _limit(c, "max_msgs_per_subject") > 0,
        "dropped (with discard_new_per_subject refused) beyond so many of an object",
        "stored",
        -1,
    ),
    Harmful(
        "discard", _drops_the_oldest,
        "dropped, the oldest first, when max_msgs or max_bytes is reached",
        "dropped, the oldest first, when max_msgs or max_bytes is reached",
        "new",
    ),
    Harmful(
        "subject_transform", _moves,
        "stored under another subject, where no reader looks",
        "stored under another subject, where no reader looks",
        None,
    ),
    Harmful(
        "subjects", _misses,
        "refused or taken by another stream where their subject is missing",
        "refused or taken by another stream where their subject is missing",
        None,
    ),
    Harmful(
        "allow_msg_counter", lambda _, c: bool(c.get("allow_msg_counter")),
        "refused: the stream takes numbers only",
        "refused: the stream takes numbers only",
        False, is_final=True,
    ),
    Harmful(
        "first_seq", lambda _, c: _limit(c, "first_seq") >= _HIGHEST_FIRST,
        "stored, and not found again: their numbers are too high",
        "stored, and not found again: their numbers are too high",
        0, is_final=True,
    ),
    Harmful(
        "deny_purge", lambda _, c: bool(c.get("deny_purge")),
        "stored, and never removed",
        "refused: they replace earlier ones, which is a removal",
        False, is_final=True,
    ),
    Harmful(
        "allow_rollup_hdrs", lambda _, c: not c.get("allow_rollup_hdrs"),
        "stored",
        "refused: they replace earlier ones",
        True,
    ),
)  # fmt: skip


def harm_of(bucket: str, config: _Config) -> Harmful | None:
    """Return the first setting that makes a stream harm what is published; None: there is none.

    Arguments:
        bucket: its name.
        config: of the stream, as the server tells it.
    """
    if config.get("sealed"):  # that sets others of these, too
        return None
    return next((row for row in HARMFUL if row.is_set(bucket, config)), None)


def refusal(bucket: str, config: _Config) -> ObjStoreError | None:
    """Say why objects cannot be written; None: they can.

    Arguments:
        bucket: its name.
        config: of the stream, as the server tells it.

    Returns:
        A BucketReadOnlyError for a copy of other buckets, a BucketSealedError for a sealed one,
        a BucketConfigError that names the setting for one that would lose or refuse them.
    """
    if not config.get("subjects"):
        sources = [config.get("mirror") or {}, *(config.get("sources") or [])]
        names = " and ".join(str(source["name"]) for source in sources if source.get("name"))
        return BucketReadOnlyError(
            f"bucket {bucket} is a mirror of the stream {names}: it cannot be written",
            bucket=bucket,
        )
    if config.get("sealed"):
        return BucketSealedError(f"bucket {bucket} is sealed: nothing can change", bucket=bucket)
    row = harm_of(bucket, config)
    return None if row is None else row.error(bucket, config)


def covers(pattern: str, subjects: str) -> bool:
    """Tell whether a pattern takes all subjects that another one takes."""
    ours, theirs = pattern.split("."), subjects.split(".")
    for at, mine in enumerate(ours):
        if mine == ">":
            return at < len(theirs)
        if at >= len(theirs) or theirs[at] == ">" or mine not in ("*", theirs[at]):
            return False
    return len(ours) == len(theirs)


def _meet(one: str, other: str) -> bool:
    """Tell whether some subject is taken by both patterns."""
    ours, theirs = one.split("."), other.split(".")
    # Token by token: a wildcard on either side meets anything there.
    for mine, its in zip(ours, theirs, strict=False):
        if ">" in (mine, its):
            return True
        if mine != its and "*" not in (mine, its):
            return False
    return len(ours) == len(theirs)
