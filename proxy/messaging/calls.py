"""One piece of the database's work, seen from two threads: the one that does it, and the one that may give it up."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection


class Call:
    """`committing` says how far the doing thread has come."""

    def __init__(self, cut: Callable[[DBAPIConnection], None]) -> None:
        self.committing = False
        self.given_up = False
        self._cut = cut
        self._connection: DBAPIConnection | None = None
        self._lock = Lock()

    @contextmanager
    def on(self, connection: Connection) -> Iterator[None]:
        """Let this connection be cut while the block runs, and not a moment longer: it will be somebody else's.

        Raises:
            TimeoutError: the call was given up before.
        """
        self.committing = False
        with self._lock:
            if self.given_up:
                raise TimeoutError
            self._connection = connection.connection.driver_connection
        try:
            yield
        finally:
            with self._lock:
                self._connection = None

    def give_up(self) -> None:
        with self._lock:
            self.given_up = True
            if self._connection is not None:
                self._cut(self._connection)
