"""An operator with an account and users, as `nsc` would make them, for tests of logins.

The format is that of nats-io/jwt, version 2: claims in JSON, signed with the issuer's NKEY.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from typing import Any

import nkeys

_LIMITS = {
    "subs": -1,
    "data": -1,
    "payload": -1,
    "imports": -1,
    "exports": -1,
    "wildcards": True,
    "conn": -1,
    "leaf": -1,
}
_JETSTREAM_LIMITS = {
    "mem_storage": -1,
    "disk_storage": -1,
    "streams": -1,
    "consumer": -1,
    "max_ack_pending": -1,
}


class Key:
    """A new NKEY: its seed, its public key, and JWTs that it issues."""

    def __init__(self, prefix: int) -> None:
        self.seed: str = nkeys.encode_seed(os.urandom(32), prefix).decode()
        self.pair = nkeys.from_seed(self.seed.encode())
        self.public: str = self.pair.public_key.decode()

    def issue(self, subject: Key, name: str, nats: dict[str, Any], **claims: Any) -> str:
        """A JWT about ``subject``, signed by this key."""
        body = {
            "iat": int(time.time()),
            "iss": self.public,
            "sub": subject.public,
            "name": name,
            "nats": {"version": 2, **nats},
            **claims,
        }
        digest = hashlib.sha256(json.dumps(body).encode()).digest()
        body["jti"] = base64.b32encode(digest).decode().rstrip("=")
        signed = f"{_part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_part(body)}"
        return f"{signed}.{_base64(self.pair.sign(signed.encode()))}"


def _part(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def new_user_seed() -> str:
    """A new user's seed (``SU...``)."""
    return Key(nkeys.PREFIX_BYTE_USER).seed


def public_key(seed: str) -> str:
    """The public key (``U...``) of a seed."""
    key: bytes = nkeys.from_seed(seed.encode()).public_key
    return key.decode()


def creds_text(jwt: str, seed: str) -> str:
    """The text of a ``.creds`` file, as ``nsc generate creds`` writes it."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\n"
        "NKEY Seed printed below can be used to sign and prove identity.\n"
        "NKEYs are sensitive and should be treated as secrets.\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n\n"
        "*************************************************************\n"
    )


class Operator:
    """An operator with a system account and one account, which may use JetStream."""

    def __init__(self) -> None:
        operator = Key(nkeys.PREFIX_BYTE_OPERATOR)
        system = Key(nkeys.PREFIX_BYTE_ACCOUNT)
        self.account = Key(nkeys.PREFIX_BYTE_ACCOUNT)
        operator_jwt = operator.issue(
            operator, "O", {"type": "operator", "system_account": system.public}
        )
        system_jwt = operator.issue(system, "SYS", {"type": "account", "limits": _LIMITS})
        account_jwt = operator.issue(
            self.account, "A", {"type": "account", "limits": _LIMITS | _JETSTREAM_LIMITS}
        )
        #: What goes into the configuration file of a server.
        self.config = (
            f"operator: {operator_jwt}\n"
            f"system_account: {system.public}\n"
            "resolver: MEMORY\n"
            f"resolver_preload: {{\n"
            f"  {system.public}: {system_jwt}\n"
            f"  {self.account.public}: {account_jwt}\n"
            "}\n"
        )

    def new_user(self, *, expires: float | None = None, bearer: bool = False) -> tuple[str, str]:
        """The JWT and the seed of a new user of the account.

        Arguments:
            expires: after so many seconds from now the user is refused, and disconnected; the
                JWT counts in whole seconds. Below zero: expired already.
            bearer: the JWT alone is enough, without a signature.
        """
        user = Key(nkeys.PREFIX_BYTE_USER)
        nats: dict[str, Any] = {"type": "user", "subs": -1, "data": -1, "payload": -1}
        if bearer:
            nats["bearer_token"] = True
        claims = {} if expires is None else {"exp": int(time.time() + expires)}
        return self.account.issue(user, "U", nats, **claims), user.seed

    def new_creds(self, *, expires: float | None = None) -> str:
        """The text of a ``.creds`` file of a new user; ``expires`` as for :meth:`new_user`."""
        return creds_text(*self.new_user(expires=expires))


def make_operator_config(expires: float | None = None) -> tuple[str, str]:
    """A server's configuration, and the text of a ``.creds`` file that it lets in.

    Arguments:
        expires: seconds until the user expires; ``None``: never.

    Returns:
        What goes into the configuration file (ports and JetStream are for the caller to add),
        and the text of the credentials.
    """
    operator = Operator()
    return operator.config, operator.new_creds(expires=expires)
