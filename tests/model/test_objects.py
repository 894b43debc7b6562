"""ADR-20's records: names, subjects, and the JSON that this and other clients write."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import pickle
from collections import OrderedDict
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict

from objstore.errors import InvalidNameError, InvalidOptionError, ObjectCorruptError
from objstore.get.integrity import is_same_digest
from objstore.model.arguments import description_text, header_lists, metadata_dict, with_mime
from objstore.model.objects import (
    MAX_NAME,
    ObjectInfo,
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    all_meta_subject,
    bucket_of_stream,
    check_bucket_name,
    chunk_subject,
    decode_digest,
    encode_digest,
    meta_subject,
    new_info,
    options_for,
    stream_name,
)
from objstore.model.record_json import (
    _object_options,
    _read_strictly,
    _read_tolerantly,
    _Record,
    encode_info,
    parse_info,
)

pytestmark = pytest.mark.newest_server

TIME = "2026-01-02T03:04:05.6789Z"
MTIME = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=timezone.utc)

# --- helpers


def parse(record: object, **replaced: Any) -> ObjectInfo:
    """Parse a record given as bytes, or as what its JSON shall be."""
    if isinstance(record, dict):
        record = json.dumps({**record, **replaced}).encode()
    assert isinstance(record, (bytes, memoryview))
    return parse_info(record, "B", 7, TIME)


PLAIN = {"name": "n", "bucket": "B", "nuid": "N1", "size": 3, "chunks": 1, "digest": "SHA-256=x"}

# --- names and subjects


@pytest.mark.parametrize("bucket", ["a", "A-b_9", "-", "_", "x" * 251])
def test_bucket_names(bucket: str) -> None:
    assert check_bucket_name(bucket) == bucket
    assert bucket_of_stream(stream_name(bucket)) == bucket


@pytest.mark.parametrize(
    "bucket", ["", " ", "a b", "a.b", "a*", ">", "ä", "a\n", "a/b", "$a", "a\0", "x" * 252]
)
def test_bucket_names_refused(bucket: str) -> None:
    with pytest.raises(InvalidNameError, match="cannot be a bucket's name") as caught:
        check_bucket_name(bucket)
    assert caught.value.bucket == bucket
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("bucket", [None, 5, b"a"])
def test_bucket_names_are_text(bucket: Any) -> None:
    with pytest.raises(InvalidNameError, match="a bucket's name is text, not"):
        check_bucket_name(bucket)


@pytest.mark.parametrize("stream", ["", "OBJ_", "KV_a", "obj_a", "OBJ_a.b", "XOBJ_a"])
def test_streams_of_no_bucket(stream: str) -> None:
    assert bucket_of_stream(stream) is None


def test_subjects() -> None:
    """The templates of ADR-20; the name is URL-safe base64, padding included."""
    assert stream_name("B") == "OBJ_B"
    assert chunk_subject("B", "N1") == "$O.B.C.N1"
    assert chunk_subject("B", ">") == "$O.B.C.>"
    assert all_meta_subject("B") == "$O.B.M.>"
    assert meta_subject("B", "a") == "$O.B.M.YQ=="
    assert meta_subject("B", "???>>>") == "$O.B.M.Pz8_Pj4-"


@given(st.text(min_size=1, max_size=200).filter(lambda name: name.isprintable() or name.isascii()))
def test_any_name_makes_one_token(name: str) -> None:
    encoded = meta_subject("b", name).removeprefix("$O.b.M.")
    assert base64.urlsafe_b64decode(encoded).decode() == name
    assert not set(encoded) & set(". *>\r\n\t")


def test_the_longest_name() -> None:
    assert len(meta_subject("B" * 100, "x" * MAX_NAME)) < 4000
    with pytest.raises(InvalidNameError, match=f"{MAX_NAME + 1} bytes is too long"):
        meta_subject("b", "x" * (MAX_NAME + 1))
    with pytest.raises(InvalidNameError, match="too long"):
        meta_subject("b", "ä" * (MAX_NAME // 2 + 1))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "cannot be empty"),
        ("\ud800", "does not encode as UTF-8"),
        (None, "is text, not NoneType"),
        (5, "is text, not int"),
        (b"n", "is text, not bytes"),
    ],
)
def test_names_refused(name: Any, words: str) -> None:
    with pytest.raises(InvalidNameError, match=words):
        meta_subject("B", name)


# --- headers, metadata, descriptions that users give


def urllib3_headers() -> HTTPHeaderDict:
    headers = HTTPHeaderDict()
    headers.add("A", "1")
    headers.add("a", "2")
    headers.add("B", "3, 4")
    return headers


@pytest.mark.parametrize(
    ("headers", "lists"),
    [
        (None, {}),
        ({}, {}),
        ({"A": "1"}, {"A": ["1"]}),
        ({"A": ["1", "2"], "B": ("3",)}, {"A": ["1", "2"], "B": ["3"]}),
        ({"A": iter(["1", "2"])}, {"A": ["1", "2"]}),
        ({"A": []}, {"A": []}),
        ({"A": ""}, {"A": [""]}),
        ({"A": "ä \t:"}, {"A": ["ä \t:"]}),
        ({"!~": "x"}, {"!~": ["x"]}),
        (OrderedDict(A="1"), {"A": ["1"]}),
        (MappingProxyType({"A": "1"}), {"A": ["1"]}),
        (CaseInsensitiveDict({"A": "1"}), {"A": ["1"]}),
        (urllib3_headers(), {"A": ["1", "2"], "B": ["3, 4"]}),
    ],
)
def test_header_lists(headers: object, lists: dict[str, list[str]]) -> None:
    """A text or several for each name; urllib3's HTTPHeaderDict keeps its values apart."""
    assert header_lists(headers) == lists


def test_header_lists_are_copies() -> None:
    values = ["1"]
    lists = header_lists({"A": values})
    values.append("2")
    assert lists == {"A": ["1"]}


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ("A: 1", "headers are a mapping, not str"),
        ([("A", "1")], "headers are a mapping, not list"),
        ({"": "1"}, "a header cannot be named ''"),
        ({"A B": "1"}, "cannot be named"),
        ({"A:": "1"}, "cannot be named"),
        ({"A\n": "1"}, "cannot be named"),
        ({"ä": "1"}, "cannot be named"),
        ({"\x7f": "1"}, "cannot be named"),
        ({5: "1"}, "a header cannot be named 5"),
        ({"A": "1\r\nB: 2"}, "the header A cannot have the value"),
        ({"A": "1\n"}, "one line"),
        ({"A": "\0"}, "one line"),
        ({"A": ["1", "2\r"]}, "one line"),
        ({"A": ["1", 2]}, "cannot have the value 2"),
        ({"A": 5}, "the header A has a value of type int; it must be text"),
        ({"A": None}, "of type NoneType"),
        ({"A": b"1"}, "of type bytes"),
        ({"A": {"b": "c"}}, "of type dict"),
        ({"A": "\ud800"}, "does not encode as UTF-8"),
    ],
)
def test_headers_refused(headers: object, words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        header_lists(headers)


def test_metadata() -> None:
    given = {"a": "1", "": "ä"}
    checked = metadata_dict(given)
    assert checked == given
    assert checked is not given
    assert metadata_dict(None) == {}


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ("a=1", "metadata is a mapping, not str"),
        ({"a": 1}, r"'a': 1 is not so\. Use str\(\), or json\.dumps\(\)"),
        ({1: "a"}, "1: 'a' is not so"),
        ({"a": None}, "is not so"),
        ({"a": "\ud800"}, "does not encode as UTF-8"),
        ({"\ud800": "a"}, "does not encode as UTF-8"),
    ],
)
def test_metadata_refused(metadata: object, words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        metadata_dict(metadata)


def test_descriptions() -> None:
    assert description_text(None) == ""
    assert description_text("any\ntext ä") == "any\ntext ä"
    with pytest.raises(InvalidOptionError, match="a description is text, not int"):
        description_text(5)
    with pytest.raises(InvalidOptionError, match="the description holds text"):
        description_text("\ud800")


def test_mime_replaces_the_content_type() -> None:
    """However the header's name was spelled; None leaves all as it is."""
    headers = {"content-TYPE": ["old"], "A": ["1"]}
    assert with_mime(headers, None) == headers
    assert with_mime(headers, "text/plain") == {"A": ["1"], "Content-Type": ["text/plain"]}
    assert with_mime({}, "text/plain") == {"Content-Type": ["text/plain"]}
    with pytest.raises(InvalidOptionError, match="Content-Type"):
        with_mime({}, "text/plain\r\nX: 1")
    wrong: Any = 5
    with pytest.raises(InvalidOptionError, match="Content-Type"):
        with_mime({}, wrong)


# --- ObjectInfo


def full_info() -> ObjectInfo:
    return ObjectInfo(
        bucket="B",
        name="ä/b",
        description="d",
        size=300,
        chunks=3,
        digest="SHA-256=x",
        mtime=MTIME,
        metadata={"k": "v"},
        options=ObjectMetaOptions(ObjectLink("C", "other"), 128),
        nuid="N1",
        revision=7,
        header_values={"Content-Type": ["text/plain", "x"], "A": ["1", "2"]},
        extra={"x-foreign": [1, {"a": None}], "options": {"x-option": True}},
    )


def test_headers_of_an_info() -> None:
    """A case-insensitive mapping, and a copy each time."""
    info = full_info()
    assert info.headers.getlist("a") == ["1", "2"]
    assert info.headers["A"] == "1, 2"
    info.headers.add("A", "3")
    assert info.headers.getlist("A") == ["1", "2"]
    assert info.header_values["A"] == ["1", "2"]


@pytest.mark.parametrize(
    ("headers", "mime"),
    [
        ({}, None),
        ({"A": ["1"]}, None),
        ({"Content-Type": []}, None),
        ({"content-type": ["a/b", "c/d"]}, "a/b"),
        ({"Content-Type": [], "CONTENT-TYPE": ["a/b"]}, "a/b"),
    ],
)
def test_mime_of_an_info(headers: dict[str, list[str]], mime: str | None) -> None:
    assert ObjectInfo("B", "n", header_values=headers).mime == mime


def test_link_of_an_info() -> None:
    assert full_info().link == ObjectLink("C", "other")
    assert ObjectInfo("B", "n").link is None


def test_infos_copy_and_pickle() -> None:
    """Whole, and equal to the original."""
    for info in (full_info(), ObjectInfo("B", "n")):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(info, protocol))
            assert again == info
            assert again.headers == info.headers
        assert copy.deepcopy(info) == info
    meta = ObjectMeta("n", headers={"A": "1"}, options=ObjectMetaOptions(ObjectLink("B")))
    assert pickle.loads(pickle.dumps(meta)) == meta


def test_infos_hash() -> None:
    """Although their mappings do not: so they can be in sets."""
    assert len({full_info(), full_info(), ObjectInfo("B", "n")}) == 2


def test_infos_are_frozen() -> None:
    info: Any = full_info()
    with pytest.raises(AttributeError):
        info.name = "other"
    changed = info.with_changes(name="other")
    assert (changed.name, changed.nuid, info.name) == ("other", "N1", "ä/b")


# --- the JSON


def test_encode() -> None:
    """ADR-20's fields; never mtime nor revision; what is empty is left out."""
    fields = json.loads(encode_info(full_info()))
    assert fields == {
        "name": "ä/b", "description": "d", "bucket": "B", "nuid": "N1", "size": 300, "chunks": 3,
        "digest": "SHA-256=x", "metadata": {"k": "v"},
        "headers": {"Content-Type": ["text/plain", "x"], "A": ["1", "2"]},
        "options": {"link": {"bucket": "C", "name": "other"}, "max_chunk_size": 128,
                    "x-option": True},
        "x-foreign": [1, {"a": None}],
    }  # fmt: skip
    assert json.loads(encode_info(ObjectInfo("B", "n"))) == {
        "name": "n", "bucket": "B", "nuid": "", "size": 0, "chunks": 0,
    }  # fmt: skip
    deleted = ObjectInfo("B", "n", deleted=True, options=ObjectMetaOptions(ObjectLink("C")))
    fields = json.loads(encode_info(deleted))
    assert fields["deleted"] is True
    assert fields["options"] == {"link": {"bucket": "C"}}


#: As JSON of others can hold it: with lone surrogates.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], include_characters="\ud800"), max_size=20)
SAFE = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | SAFE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SAFE, inner, max_size=3),
    max_leaves=6,
)
BUCKETS = st.from_regex(r"[A-Za-z0-9_-]{1,10}", fullmatch=True)
SIZES = st.one_of(
    st.just((0, 0)),
    st.integers(1, 1 << 62).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))),
)
KNOWN = (
    "bucket", "chunks", "deleted", "description", "digest", "headers", "metadata", "mtime", "name",
    "nuid", "options", "size", "revision",
)  # fmt: skip


@st.composite
def infos(draw: st.DrawFn) -> ObjectInfo:
    size, chunks = draw(SIZES)
    link = draw(st.none() | st.builds(ObjectLink, BUCKETS, st.none() | SAFE.filter(bool)))
    names = SAFE.filter(lambda name: name not in KNOWN)
    extra: dict[str, Any] = draw(st.dictionaries(names, JSON, max_size=3))
    option_names = SAFE.filter(lambda name: name not in ("link", "max_chunk_size"))
    options = draw(st.dictionaries(option_names, JSON, max_size=2))
    if options:
        extra["options"] = options
    return ObjectInfo(
        bucket="B",
        name=draw(SAFE.filter(bool)),
        description=draw(TEXTS),
        size=size,
        chunks=chunks,
        digest=draw(SAFE),
        mtime=MTIME,
        metadata=draw(st.dictionaries(TEXTS, TEXTS, max_size=3)),
        deleted=draw(st.booleans()),
        options=ObjectMetaOptions(link, draw(st.none() | st.integers(1, 1 << 32))),
        nuid=draw(st.from_regex(r"[0-9A-Za-z_=-]{0,22}", fullmatch=True)),
        revision=7,
        header_values=draw(st.dictionaries(TEXTS, st.lists(TEXTS, max_size=3), max_size=3)),
        extra=extra,
    )


@given(infos())
def test_round_trip(info: ObjectInfo) -> None:
    """What is written is read again, unknown fields and lone surrogates of others included."""
    assert parse(encode_info(info)) == info


@given(st.dictionaries(st.sampled_from(KNOWN) | SAFE, JSON, max_size=8))
def test_any_record_of_json(record: dict[str, Any]) -> None:
    """It is read, or it is corrupt; and what was read can be written, which then says the same."""
    try:
        info = parse(record)
    except ObjectCorruptError:
        return
    assert parse(encode_info(info)) == info
    unknown = {name: value for name, value in record.items() if name not in KNOWN}
    written = json.loads(encode_info(info))
    assert {name: value for name, value in written.items() if name in unknown} == unknown


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_record_of_bytes(record: bytes) -> None:
    """Nothing but ObjectCorruptError comes out."""
    with pytest.raises(ObjectCorruptError):
        parse(record)


def test_where_it_was_read_counts() -> None:
    """The bucket, the revision and the time are the stream's, whatever the record says."""
    info = parse({**PLAIN, "bucket": "OTHER", "revision": 99, "mtime": "0001-01-01T00:00:00Z"})
    assert (info.bucket, info.revision, info.mtime) == ("B", 7, MTIME)
    fields = json.loads(encode_info(info))
    assert fields["bucket"] == "B"
    assert not {"revision", "mtime"} & set(fields)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"name": "n"}, {"size": 0, "chunks": 0, "digest": "", "nuid": ""}),
        ({**PLAIN, "mtime": ""}, {"size": 3}),
        ({**PLAIN, "nuid": None, "digest": None, "description": None}, {"nuid": "", "digest": ""}),
        ({**PLAIN, "options": None, "headers": None, "metadata": None}, {"header_values": {}}),
        ({**PLAIN, "options": {}}, {"options": ObjectMetaOptions()}),
        ({**PLAIN, "options": {"max_chunk_size": 0}}, {"options": ObjectMetaOptions()}),
        ({**PLAIN, "options": {"max_chunk_size": None, "link": None}}, {"link": None}),
        ({**PLAIN, "options": {"link": {}}}, {"link": None}),
        ({**PLAIN, "options": {"link": {"bucket": "C"}}}, {"link": ObjectLink("C")}),
        ({**PLAIN, "options": {"link": {"bucket": "C", "name": ""}}}, {"link": ObjectLink("C")}),
        ({**PLAIN, "deleted": None}, {"deleted": False}),
        ({**PLAIN, "deleted": True, "size": 0, "chunks": 0}, {"deleted": True}),
        ({**PLAIN, "headers": {"A": "1"}}, {"header_values": {"A": ["1"]}}),
        ({**PLAIN, "headers": {"A": None, "B": []}}, {"header_values": {"A": [], "B": []}}),
        ({**PLAIN, "headers": {"A": [1, True, None, {"b": 2}]}},
         {"header_values": {"A": ["1", "true", "", '{"b": 2}']}}),
        ({**PLAIN, "metadata": {"a": 1, "b": None, "c": ["ä"]}},
         {"metadata": {"a": "1", "b": "", "c": '["ä"]'}}),
        ({**PLAIN, "description": "\ud800"}, {"description": "\ud800"}),
        ({**PLAIN, "nuid": "3f2c-uuid_like="}, {"nuid": "3f2c-uuid_like="}),
        ({**PLAIN, "unknown": 1, "options": {"other": 2}},
         {"extra": {"unknown": 1, "options": {"other": 2}}}),
    ],
)  # fmt: skip
def test_oddities_of_other_clients(record: dict[str, Any], expected: dict[str, Any]) -> None:
    info = parse(record)
    assert {name: getattr(info, name) for name in expected} == expected
    assert parse(encode_info(info)) == info


def test_a_view_is_as_good_as_bytes() -> None:
    assert parse(memoryview(json.dumps(PLAIN).encode())).name == "n"


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"5",
        b"\xff\xfe",
        b'{"name":"\xff"}',
        b"[" * 200_000,
        b'{"name":"n","size":' + b"9" * 5000 + b"}",
        {},
        {**PLAIN, "name": ""},
        {**PLAIN, "name": None},
        {**PLAIN, "name": 5},
        {**PLAIN, "name": "\ud800"},
        {**PLAIN, "size": "3"},
        {**PLAIN, "size": 3.0},
        {**PLAIN, "size": True},
        {**PLAIN, "size": -3},
        {**PLAIN, "size": 1 << 63},
        {**PLAIN, "chunks": -1},
        {**PLAIN, "chunks": "1"},
        {**PLAIN, "chunks": 0},
        {**PLAIN, "chunks": 4},
        {**PLAIN, "size": 0},
        {**PLAIN, "description": 5},
        {**PLAIN, "digest": {}},
        {**PLAIN, "nuid": 5},
        {**PLAIN, "nuid": "a.b"},
        {**PLAIN, "nuid": ">"},
        {**PLAIN, "nuid": "*"},
        {**PLAIN, "nuid": "a b"},
        {**PLAIN, "nuid": "N1\n"},
        {**PLAIN, "metadata": []},
        {**PLAIN, "metadata": "x"},
        {**PLAIN, "headers": ["A: 1"]},
        {**PLAIN, "options": []},
        {**PLAIN, "options": {"max_chunk_size": "5"}},
        {**PLAIN, "options": {"max_chunk_size": -5}},
        {**PLAIN, "options": {"link": "C/n"}},
        {**PLAIN, "options": {"link": {"name": "n"}}},
        {**PLAIN, "options": {"link": {"bucket": "a.b", "name": "n"}}},
        {**PLAIN, "options": {"link": {"bucket": 5}}},
        {**PLAIN, "options": {"link": {"bucket": "C", "name": 5}}},
    ],
    ids=lambda record: str(record)[:40],
)
def test_malformed_records(record: object) -> None:
    """The error names the revision and the bucket, and keeps the cause."""
    with pytest.raises(
        ObjectCorruptError, match="malformed metadata at revision 7 of bucket B"
    ) as c:
        parse(record)
    assert c.value.bucket == "B"
    assert c.value.__cause__ is not None


@given(SAFE.filter(bool), st.integers(1, 1 << 40))
def test_both_ways_to_write_say_the_same(name: str, size: int) -> None:
    """What others wrote is written again by json: byte by byte the same."""
    info = new_info(
        "B", name, size=size, chunks=1, nuid="n", digest="SHA-256=x", options=options_for(128)
    )
    foreign = encode_info(info.with_changes(extra={"theirs": 1}))
    assert encode_info(info) == foreign.replace(b',"theirs":1}', b"}")
    assert json.loads(encode_info(info))["name"] == name


#: What this client and nats.go write of most objects.
USUAL = (
    b'{"name":"n","options":{"max_chunk_size":10},"bucket":"B","nuid":"N1","size":3,"chunks":1,'
    b'"digest":"SHA-256=x"}',
    b'{"name":"n","options":{"max_chunk_size":10},"bucket":"B","nuid":"N1","size":3,'
    b'"mtime":"0001-01-01T00:00:00Z","chunks":1,"digest":"SHA-256=x"}',
    b'{"name":"n","description":"d","headers":{"Content-Type":["text/plain"]},"metadata":{"k":"v"},'
    b'"options":{"link":{"bucket":"C","name":"m"}},"bucket":"B","nuid":"N1","size":0,"chunks":0,'
    b'"deleted":true,"revision":5}',
)

#: What makes of them another case, or nonsense.
PIECES = (
    b'\\"', b"\\u0041", b"\x00", b"\xff", b"\xed\xa0\x80", "\u00e4\u2028".encode(), b"0", b"-",
    b"1.0", b"e3", b"null", b"{", b",", b" ", b'"deleted":true,', b'"name":"m",',
    b"9" * 20, b"", b"\x7f", b"=",
)  # fmt: skip


def said(record: _Record) -> tuple[object, ...]:
    """What counts of a record."""
    fields = ("name", "description", "headers", "metadata", "nuid", "size", "chunks", "digest")
    options = _object_options(record.options)
    return (*(getattr(record, field) for field in fields), record.deleted, options)


@pytest.mark.parametrize("record", USUAL)
def test_what_clients_store_is_read_strictly(record: bytes) -> None:
    strict = _read_strictly(record)
    tolerant, extra = _read_tolerantly(record)
    assert strict is not None
    assert said(strict) == said(tolerant)
    assert extra == {}
    assert parse(record).mtime == MTIME


@given(st.sampled_from(USUAL), st.sampled_from(PIECES) | st.binary(max_size=3), st.data())
def test_the_strict_way_says_the_same_or_nothing(
    record: bytes, piece: bytes, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(record)))
    end = data.draw(st.integers(start, min(len(record), start + 4)))
    changed = record[:start] + piece + record[end:]
    strict = _read_strictly(changed)
    if strict is not None:
        tolerant, extra = _read_tolerantly(changed)
        assert said(strict) == said(tolerant)
        assert extra == {}


def test_the_time_is_read_when_it_is_looked_at() -> None:
    """By whichever way: an attribute, a repr, a pickle, a comparison, a copy with changes."""
    infos = [parse(PLAIN) for _ in range(6)]
    assert all("mtime" not in vars(info) for info in infos)
    assert infos[0].mtime == MTIME
    assert "2026-01-02 03:04:05.678+00:00" in repr(infos[1])
    assert pickle.loads(pickle.dumps(infos[2])).mtime == MTIME
    assert infos[3] == infos[0]
    assert infos[4].with_changes(size=3).mtime == MTIME
    assert infos[5].with_changes(mtime=None).mtime is None
    assert dataclasses.replace(infos[5], size=3).mtime == MTIME
    assert set(vars(infos[0])) == set(vars(new_info("B", "n")))
    assert parse_info(json.dumps(PLAIN).encode(), "B", 7, "no time").mtime is None


@pytest.mark.parametrize("field", ["metadata", "header_values", "extra"])
def test_new_records_share_nothing_that_can_be_changed(field: str) -> None:
    one, other = new_info("B", "a"), new_info("B", "b")
    assert getattr(one, field) == {}
    assert getattr(one, field) is not getattr(other, field)
    assert one == ObjectInfo("B", "a")


# --- digests

RAW_DIGEST = bytes(range(200, 232))  # its base64 has a "-" or "+" and a "_" or "/" in it
URL_SAFE = base64.urlsafe_b64encode(RAW_DIGEST).decode()
STANDARD = base64.b64encode(RAW_DIGEST).decode()


@pytest.mark.parametrize("name", ["SHA-256=", "sha-256=", "Sha256=", "SHA256="])
@pytest.mark.parametrize(
    "value",
    [URL_SAFE, URL_SAFE.rstrip("="), STANDARD, STANDARD.rstrip("="), RAW_DIGEST.hex(),
     RAW_DIGEST.hex().upper(), f" {URL_SAFE}\n", f"{STANDARD[:20]}\r\n {STANDARD[20:]}"],
)  # fmt: skip
def test_every_spelling_of_a_digest(name: str, value: str) -> None:
    assert URL_SAFE != STANDARD
    assert decode_digest(name + value) == RAW_DIGEST
    assert decode_digest(f"\t{name}{value} ") == RAW_DIGEST
    assert is_same_digest(name + value, RAW_DIGEST)
    assert not is_same_digest(name + value, bytes(32))


@pytest.mark.parametrize(
    "text",
    ["", "SHA-256=", "SHA-256=x", "SHA-512=" + URL_SAFE, "MD5=" + URL_SAFE, URL_SAFE,
     RAW_DIGEST.hex(), "SHA-256=" + RAW_DIGEST.hex()[:-2], "SHA-256=" + RAW_DIGEST.hex() + "00",
     "SHA-256=" + URL_SAFE[:-2], "SHA-256=" + URL_SAFE + "AAAA", "SHA-256=" + "é" * 43,
     "SHA-256=" + "?" * 44, "xSHA-256=" + URL_SAFE, "SHA-256=" + "g" * 64],
)  # fmt: skip
def test_what_is_no_sha_256_digest(text: str) -> None:
    assert decode_digest(text) is None
    assert not is_same_digest(text, RAW_DIGEST)


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_is_read_as_it_was_written(raw: bytes) -> None:
    assert decode_digest(encode_digest(raw)) == raw
    assert decode_digest("SHA-256=" + base64.b64encode(raw).decode()) == raw
