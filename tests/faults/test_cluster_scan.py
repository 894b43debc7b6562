"""Folders of a bucket in a cluster, where a replica may lag: what was stored is seen at once."""

from __future__ import annotations

import pytest

from tests.support.cluster import Cluster

pytestmark = pytest.mark.newest_server


@pytest.mark.parametrize("consistency", ["strong", "eventual"])
def test_what_was_stored_and_removed_is_seen_at_once(
    consistency: str, cluster: Cluster, bucket: str
) -> None:
    """By whoever, through whichever server."""
    with cluster.connect("n0") as one, cluster.connect("n1") as two:
        mine = one.object_store(bucket, consistency=consistency)
        other = two.object_store(bucket)
        expected: set[str] = set()
        for number in range(60):
            store = other if number % 2 else mine
            name = f"{number % 7}/{number % 11}"
            if number % 5 == 4:
                store.delete(name)
                expected.discard(name)
            else:
                store.put(name, b"x", mime="text/plain" if number % 3 else None)
                expected.add(name)
            assert [info.name for info in mine.scan().objects] == sorted(expected)
        mine.put_many((f"many/{number}", b"x") for number in range(300))
        assert len(other.scan("many/", delimiter="/").objects) == 300
        assert other.delete_prefix("many/") == 300
        assert mine.scan("many/").objects == []
        assert list(mine.read_ranges((name, 0, 1) for name in sorted(expected))) == [
            b"x" for _ in expected
        ]
