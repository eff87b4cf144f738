"""Where the ledger lies: the URLs that are understood, and how one is shown."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

FORMS = "must be sqlite:///path or postgresql://user:password@host/database"
MISSING_EXTRA = "PostgreSQL needs psycopg: pip install --require-hashes -r requirements/image.txt"
"""By the lock, not by name: `medialink` on PyPI is somebody else's."""
_POSTGRESQL = frozenset({"postgresql", "postgresql+psycopg", "postgres"})
_SECRETS = frozenset({"password", "sslpassword"})
"""libpq's parameters that nobody else may read."""


class LedgerUrl(str):
    """Shows itself without its passwords; what reads its characters reads all."""

    __slots__ = ()

    def __str__(self) -> str:
        url = make_url(self[:])
        hidden = url.update_query_dict(dict.fromkeys(_SECRETS & url.query.keys(), "***"))
        return hidden.render_as_string(hide_password=True)

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    @property
    def parsed(self) -> URL:
        return make_url(self[:])

    @property
    def is_sqlite(self) -> bool:
        return self.parsed.get_backend_name() == "sqlite"


def parse_ledger_url(text: str) -> LedgerUrl:
    """Read the URL of a lasting database; libpq's parameters, such as sslmode, may stand in the query of PostgreSQL's.

    Raises:
        ValueError: it is none, names a parameter that libpq has not, or psycopg is not installed. The sentence
            repeats nothing of the URL but a parameter's name.
    """
    try:
        url = make_url(text[:])
    except (ArgumentError, ValueError):
        raise ValueError(FORMS) from None
    if url.drivername == "sqlite":
        if (url.database or ":memory:") == ":memory:" or url.host:
            raise ValueError("must name a file, such as sqlite:///data/ledger.db")
        return LedgerUrl(text)
    if url.drivername not in _POSTGRESQL:
        raise ValueError(FORMS)
    url = url.set(drivername="postgresql+psycopg")
    _check_parameters(url)
    return LedgerUrl(url.render_as_string(hide_password=False))


def _check_parameters(url: URL) -> None:
    try:
        from psycopg import ProgrammingError  # noqa: PLC0415 - the extra
        from psycopg.conninfo import make_conninfo  # noqa: PLC0415 - the extra
    except ImportError:
        raise ValueError(MISSING_EXTRA) from None
    try:
        make_conninfo(**dict.fromkeys(url.query, "1"))
    except ProgrammingError as error:
        raise ValueError(f"libpq says: {str(error).strip()}") from None
