"""What belongs to its process and has one copy: clients, buckets, open files, watchers, servers."""

from __future__ import annotations

from typing import ClassVar, NoReturn

__all__ = ["Uncopied"]


class Uncopied:
    """A base of what can be neither pickled nor copied, and says what to do instead."""

    __slots__ = ()

    #: What to do, in a sentence that goes on after a colon. Private, so that help() leaves it out.
    _instead: ClassVar[str] = "make another one in each process"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled, and copied: both ask for this.

        Raises:
            TypeError: always.
        """
        kind = next(each for each in type(self).__mro__ if not each.__name__.startswith("_"))
        raise TypeError(
            f"objstore's {kind.__name__} cannot be pickled or copied: it belongs to this process; "
            f"{self._instead}"
        )
