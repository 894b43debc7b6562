"""``collectstatic``, with the files of an ``ObjectStaticStorage`` sent many at a time."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from django.contrib.staticfiles.management.commands import collectstatic
from django.core.management.base import CommandError

from objstore import AuthorizationError, ConnectionLostError, RequestTimeoutError

__all__ = ["Command"]


class Command(collectstatic.Command):
    """Collect static files, as Django's own command; what it stores goes in one batch."""

    def handle(self, **options: Any) -> Any:
        """Run the command; a server that is away is one line, and with --traceback all of it."""
        try:
            return super().handle(**options)
        except (AuthorizationError, ConnectionLostError, RequestTimeoutError) as error:
            raise CommandError(f"the static files are not all collected: {error}") from error

    def collect(self) -> Any:
        """Collect them; a storage of another kind is left to itself."""
        batch = getattr(self.storage, "batch", nullcontext)
        with nullcontext() if self.dry_run else batch():
            return super().collect()
