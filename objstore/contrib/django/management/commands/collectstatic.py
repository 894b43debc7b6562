"""``collectstatic``, with the files of an ``ObjectStaticStorage`` sent many at a time."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from django.contrib.staticfiles.management.commands import collectstatic

__all__ = ["Command"]


class Command(collectstatic.Command):
    """Collect static files, as Django's own command; what it stores goes in one batch."""

    def collect(self) -> Any:
        """Collect them; a storage of another kind is left to itself."""
        batch = getattr(self.storage, "batch", nullcontext)
        with nullcontext() if self.dry_run else batch():
            return super().collect()
