"""Where the ledger may lie, and that nobody reads its password off the screen."""

import pickle
import sys

import pytest

from proxy.errors import Malformed
from proxy.messaging.database import Database
from proxy.messaging.ledger_urls import FORMS, MISSING_EXTRA, parse_ledger_url

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://data/ledger.db",
        "mysql://a.example/x",
        "postgresql+nodriver://a/x",
        "postgresql+psycopg2://a/x",
        "postgresql://a:port/x",
    ],
)
def test_a_url_that_names_no_lasting_database_is_refused(url: str) -> None:
    with pytest.raises(Malformed) as refused:
        Database(url)
    assert refused.value.field == "ledger URL"


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "postgres"])
def test_every_way_to_write_postgresql_is_driven_by_psycopg(scheme: str) -> None:
    parsed = parse_ledger_url(f"{scheme}://me:{SECRET}@db.example:5433/ledger?sslmode=verify-full").parsed
    assert (parsed.drivername, parsed.host, parsed.port) == ("postgresql+psycopg", "db.example", 5433)
    assert (parsed.password, parsed.query["sslmode"]) == (SECRET, "verify-full")


def test_a_url_is_shown_without_its_passwords() -> None:
    url = parse_ledger_url(f"postgresql://me:{SECRET}@db.example/ledger?sslpassword={SECRET}&sslmode=require")
    shown = [str(url), repr(url), f"{url}", format(url, ">200"), repr({"url": url})]
    assert [text for text in shown if SECRET in text] == []
    assert str(url).startswith("postgresql+psycopg://me:***@db.example/ledger?")
    assert "sslmode=require" in str(url)


def test_a_url_crosses_a_process_border_whole() -> None:
    url = parse_ledger_url(f"postgresql://me:{SECRET}@db.example/ledger")
    assert pickle.loads(pickle.dumps(url)).parsed.password == SECRET  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (f"oracle://me:{SECRET}@a/x", FORMS),
        (f"postgresql://me:{SECRET}@a/x?sslmoda=require", "sslmoda"),
        (f"postgresql://me:{SECRET}@a:port/x", FORMS),
    ],
    ids=["database", "parameter", "port"],
)
def test_a_refusal_says_why_and_not_the_password(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        parse_ledger_url(url)
    assert SECRET not in str(refused.value)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ValueError, match=r"pip install --require-hashes -r requirements/image\.txt") as refused:
        parse_ledger_url("postgresql://a/x")
    assert str(refused.value) == MISSING_EXTRA
    assert parse_ledger_url("sqlite:///x.db").is_sqlite
