"""What the subjects of JetStream's API begin with."""

from __future__ import annotations

from objstore.errors import InvalidOptionError
from objstore.wire.connection.arguments import api_prefix, is_token

__all__ = ["USUAL_PREFIX", "make_prefix"]

#: Where JetStream listens, unless an account imports it under another subject.
USUAL_PREFIX = "$JS.API"


def make_prefix(domain: str | None, prefix: str | None) -> str:
    """Return the prefix of the API's subjects: a domain's, one given, or the usual.

    Raises:
        InvalidOptionError: a domain that cannot stand in a subject, or both were given.
    """
    if domain is None:
        return USUAL_PREFIX if prefix is None else api_prefix(prefix)
    if prefix is not None:
        raise InvalidOptionError("give a JetStream domain or an api_prefix, not both")
    if not is_token(domain):
        raise InvalidOptionError(
            f"domain is {domain!r}; it must be the name of a JetStream domain: one word, without "
            "dots and wildcards"
        )
    return f"$JS.{domain}.API"
