"""Its tests: ``objstore_bucket`` is a fresh bucket on a private nats-server."""

from __future__ import annotations

import pytest
from avatars import Avatars

import objstore

PNG = b"\x89PNG and so on"


@pytest.fixture
def avatars(objstore_bucket: objstore.ObjectStore) -> Avatars:
    return Avatars(objstore_bucket)


def test_a_picture_is_kept(avatars: Avatars) -> None:
    avatars.save("ada", PNG)
    assert avatars.load("ada") == PNG
    assert avatars.load("bob") is None


def test_users_come_in_order(avatars: Avatars) -> None:
    for user in ["bob", "ada"]:
        avatars.save(user, PNG)
    assert avatars.users() == ["ada", "bob"]


def test_what_is_no_picture_changes_nothing(
    avatars: Avatars, objstore_bucket: objstore.ObjectStore
) -> None:
    avatars.save("ada", PNG)
    with pytest.raises(ValueError, match="PNG"):
        avatars.save("ada", b"GIF89a")
    assert objstore_bucket.read_bytes("avatars/ada") == PNG
