"""The stream that stands behind a bucket (ADR-20): new, existing, changed, copied. Pure data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from objstore.errors import BucketConfigError, InvalidOptionError
from objstore.model.bucket_options import (
    MAX_OBJECT_SIZE,
    SERVER_METADATA,
    BucketOptions,
    StorageType,
    StoreCompression,
)
from objstore.model.objects import (
    all_meta_subject,
    bucket_of_stream,
    bucket_subjects,
    check_bucket_name,
    stream_name,
)

__all__ = [
    "CLONING",
    "MAX_OBJECT_SIZE",
    "BucketOptions",
    "StorageType",
    "StoreCompression",
]


#: In the stream's metadata, as long as a clone is not complete.
CLONING = "objstore.cloning"


# --- the stream


#: What a stream allows only when it was asked for, by the options' names. A field that an older
#: server does not know is not sent to it.
_ALLOWED = {"allow_msg_ttl": "object_ttl", "allow_batched": "batched"}


def new_stream(bucket: str, options: BucketOptions, supports: Mapping[str, bool]) -> dict[str, Any]:
    """Make the configuration of a new bucket's stream: ADR-20's, and what was asked for.

    It has nothing beyond, so that other clients' idempotent create calls succeed. But one that is
    fed from other buckets lets single objects expire where the server can: theirs may.

    Arguments:
        bucket: its name.
        options: what was asked.
        supports: what the server can do, by the names in
            :data:`objstore.wire.jetstream.api.FEATURES`.

    Raises:
        InvalidNameError, InvalidOptionError: the name or an option is impossible.
    """
    check_bucket_name(bucket)
    config: dict[str, Any] = {
        "name": stream_name(bucket),
        "subjects": bucket_subjects(bucket),
        "retention": "limits",
        # A full bucket refuses what is new; with "old" it would drop chunks of objects that live.
        "discard": "new",
        # The fields are those that other clients state, with the same values: an equal
        # configuration makes their create calls succeed.
        "max_bytes": -1,
        "max_age": 0,
        "storage": "file",
        "num_replicas": 1,
        "compression": "none",
        # What ADR-20 needs: a record replaces the one before by Nats-Rollup.
        "allow_rollup_hdrs": True,
        # Reads by direct gets need no consumer (ADR-31).
        "allow_direct": True,
        **_fed(options, supports),
        **options.fields(bucket),
    }
    if config.get("mirror"):  # not to answer in its source's name
        config["mirror_direct"] = False
    return _without_refused(config)


def _fed(options: BucketOptions, supports: Mapping[str, bool]) -> dict[str, Any]:
    """Return the settings that a stream needs which is fed from others."""
    is_fed = options.mirror is not None or bool(options.sources)
    return {"allow_msg_ttl": True} if is_fed and supports.get("message TTL") else {}


def _without_refused(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a configuration the permissions that it does not give."""
    return {key: value for key, value in config.items() if key not in _ALLOWED or value}


def updated_stream(
    bucket: str, options: BucketOptions, config: Mapping[str, Any], supports: Mapping[str, bool]
) -> dict[str, Any]:
    """Change some options in the configuration of an existing bucket's stream, and no more.

    Arguments:
        bucket: its name.
        options: what shall change.
        config: of the stream, as it is.
        supports: as for :func:`new_stream`.

    Raises:
        InvalidOptionError: an option is impossible.
        BucketConfigError: it cannot change any more.
    """
    fields = options.fields(bucket)
    if options.mirror is not None and config.get("mirror"):  # the server changes no mirror
        check_existing(bucket, BucketOptions(mirror=options.mirror), config)
        for name in ("mirror", "sources", "subjects"):
            fields.pop(name, None)
    storage = config.get("storage", "file")
    if fields.get("storage", storage) != storage:
        raise BucketConfigError(
            f"bucket {bucket} keeps its storage: {storage}",
            bucket=bucket,
            differences={"storage": (storage, fields["storage"])},
        )
    if "metadata" in fields:
        fields["metadata"] = merged_metadata(options, config)
    if config.get("allow_msg_ttl") and fields.get("allow_msg_ttl") is False:
        raise BucketConfigError(
            f"bucket {bucket} keeps object_ttl: a stream that lets single messages expire does so "
            "for good",
            bucket=bucket,
            differences={"object_ttl": (True, False)},
        )
    # On top of what is there: other tools' settings stay.
    changed = {**config, **_fed(options, supports), **fields}
    if options.sources is not None:
        changed.pop("mirror", None)  # from now on it is written, so it is no mirror any more
    longest = fields.get("max_age") or 0
    if longest and int(changed.get("duplicate_window") or 0) > longest:
        changed["duplicate_window"] = longest  # the server wants it so
    return _without_refused(changed)


def merged_metadata(options: BucketOptions, config: Mapping[str, Any]) -> dict[str, str]:
    """Change the user's pairs, the limit, or both in a stream's metadata."""
    old = config.get("metadata") or {}
    said = BucketOptions(metadata=options.metadata, max_object_size=options.max_object_size)
    pairs: dict[str, str] = said.fields().get("metadata", {})
    if options.metadata is None:
        pairs = {**user_metadata(old), **pairs}
    elif options.max_object_size is None and MAX_OBJECT_SIZE in old:
        pairs = {**pairs, MAX_OBJECT_SIZE: old[MAX_OBJECT_SIZE]}
    return {**{k: v for k, v in old.items() if k.startswith(SERVER_METADATA)}, **pairs}


def check_clone(options: BucketOptions) -> None:
    """Refuse options that make no sense for a clone.

    Raises:
        InvalidOptionError: a mirror or sources are among them.
    """
    if options.mirror is not None or options.sources is not None:
        raise InvalidOptionError("a clone takes no mirror and no sources")


#: What a clone takes over from its source's stream.
_CLONED = (
    "description", "max_bytes", "max_age", "storage", "num_replicas", "compression", "placement",
    "allow_msg_ttl", "allow_batched",
)  # fmt: skip


def cloned_stream(
    bucket: str, options: BucketOptions, source: Mapping[str, Any], supports: Mapping[str, bool]
) -> dict[str, Any]:
    """Make the configuration of a stream like another bucket's, with some options changed.

    Arguments:
        bucket: the new one's name.
        options: what shall be otherwise.
        source: the configuration of the other's stream.
        supports: as for :func:`new_stream`.

    Raises:
        InvalidNameError, InvalidOptionError: the name or an option is impossible.
    """
    check_clone(options)
    config = new_stream(bucket, BucketOptions(), supports)
    # Named one by one: the other settings may be what makes a stream harmful.
    config.update({name: source[name] for name in _CLONED if source.get(name)})
    config.update(options.fields(bucket))
    old = user_metadata(source.get("metadata"))
    metadata = merged_metadata(options, {"metadata": old})
    if metadata:
        config["metadata"] = metadata
    return _without_refused(config)


#: What a bucket keeps as it was created, or what changes more than a setting.
_FOR_GOOD = {"storage", "mirror", "sources", "subjects"}


def check_existing(bucket: str, options: BucketOptions, config: Mapping[str, Any]) -> None:
    """Compare an existing bucket with what was asked of it.

    Raises:
        BucketConfigError: they differ; it names the options.
        InvalidOptionError: an option is impossible.
    """
    differences: dict[str, tuple[Any, Any]] = {}
    # Only what was asked for is compared; a server leaves out what is zero or empty, so that each
    # has its own form of nothing.
    for name, wanted in options.fields(bucket).items():
        actual = config.get(name)
        if name in ("sources", "mirror"):
            from objstore.model.stream_sources import actual_sources  # few buckets have any

            wanted = actual_sources({name: wanted})
            actual = actual_sources(config)
        elif name == "subjects":
            actual = actual or []
        elif name in ("placement", "republish"):
            actual = {key: value for key, value in (actual or {}).items() if value}
        elif name == "metadata":
            actual = user_metadata(actual)
            if options.metadata is None:  # only the limit was asked for
                actual = {k: v for k, v in actual.items() if k == MAX_OBJECT_SIZE}
            if options.max_object_size is None:  # nothing was said of the limit
                actual.pop(MAX_OBJECT_SIZE, None)
        elif name in ("description", "compression"):
            actual = actual or ("none" if name == "compression" else "")
        elif name == "max_age":
            actual = actual or 0
        elif name in _ALLOWED:
            actual = bool(actual)
        if actual != wanted:
            differences.update(_in_options_words(name, actual, wanted))
    if differences:
        listed = "; ".join(f"{k} is {a!r}, not {w!r}" for k, (a, w) in differences.items())
        helps = "" if _FOR_GOOD & {*differences} else "; update_store or objstore edit changes that"
        raise BucketConfigError(
            f"bucket {bucket} exists with other settings: {listed}{helps}",
            bucket=bucket,
            differences=differences,
        )


def _in_options_words(field: str, actual: Any, wanted: Any) -> dict[str, tuple[Any, Any]]:
    """Name a difference of a stream's field by the option that a user gave."""
    # As the user said it, a duration, not nanoseconds.
    if field == "max_age":
        ages = tuple(timedelta(microseconds=age / 1000) for age in (actual, wanted))
        return {"ttl": (ages[0], ages[1])}
    if field == "num_replicas":
        return {"replicas": (actual, wanted)}
    if field != "metadata":
        return {_ALLOWED.get(field, field): (actual, wanted)}
    sides = [dict(actual), dict(wanted)]
    limits = [side.pop(MAX_OBJECT_SIZE, None) for side in sides]
    found: dict[str, tuple[Any, Any]] = {}
    if sides[0] != sides[1]:
        found["metadata"] = (sides[0], sides[1])
    if limits[0] != limits[1]:
        sizes = [None if limit is None else int(limit) for limit in limits]
        found["max_object_size"] = (sizes[0], sizes[1])
    return found


def marked(config: Mapping[str, Any], nuid: str) -> dict[str, Any]:
    """Mark a stream's configuration as no other is marked.

    A server takes the creation of a stream that exists for done if the settings are the same.
    With the mark they are not, so that two who make the same bucket learn of each other.
    """
    return {**config, "metadata": {**config.get("metadata", {}), CLONING: nuid}}


def local_sources(options: BucketOptions) -> list[str]:
    """Return the buckets of the same account that options name as mirror or sources."""
    given = [options.mirror] if options.mirror is not None else list(options.sources or ())
    return [
        each if isinstance(each, str) else each.name
        for each in given
        if isinstance(each, str) or each.external is None
    ]


def bucket_of_config(config: Mapping[str, Any]) -> str | None:
    """Return the bucket that a stream is behind, by its name and subjects; None: no bucket."""
    bucket = bucket_of_stream(str(config.get("name")))
    subjects = config.get("subjects")
    # A mirror has no subjects; a stream of another purpose may have such a name.
    if bucket is None or (subjects and all_meta_subject(bucket) not in subjects):
        return None
    return bucket


def user_metadata(metadata: object) -> dict[str, str]:
    """Return a stream's metadata without what the server wrote there."""
    if not isinstance(metadata, Mapping):
        return {}
    return {k: v for k, v in metadata.items() if not k.startswith(SERVER_METADATA)}


def max_object_size(config: Mapping[str, Any]) -> int | None:
    """Return the limit that a bucket's stream carries, or None."""
    metadata = config.get("metadata")
    text = metadata.get(MAX_OBJECT_SIZE) if isinstance(metadata, dict) else None
    # Anybody can write there: what is no number is no limit, not an error of each put.
    return int(text) if text and re.fullmatch("[0-9]{1,19}", text) else None
