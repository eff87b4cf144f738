"""What an older release wrote is there after the upgrade, and after the way back."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine

from proxy.media.kinds import Kind
from proxy.messaging.entries import LedgerMedium, LedgerMessage
from proxy.messaging.ledger import Ledger
from proxy.messaging.ledger_urls import parse_ledger_url
from tests.messaging.ledgers import known, using
from tests.messaging.postgres_server import PostgresServer

OLD_MESSAGE = {
    "id": "m1",
    "kind": "video",
    "key": "trips/a.mp4",
    "rendition_id": "r1",
    "link": "https://m.example/x",
    "recipient_hash": "h",
    "recipient_last4": "4567",
    "outcome": "accepted",
    "warnings": "[]",
    "created_at": "2026-11-01 12:00:00+00:00",
    "updated_at": "2026-11-01 12:00:00+00:00",
}


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = sqlalchemy.create_engine(parse_ledger_url(url).parsed)
    yield engine
    engine.dispose()


def migrate(step: Callable[[Config, str], None], revision: str, connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "proxy.messaging:migrations")
    config.attributes["connection"] = connection
    step(config, revision)


def test_a_message_of_the_first_release_keeps_its_medium_both_ways(url: str, engine: Engine) -> None:
    columns = ", ".join(OLD_MESSAGE)
    values = ", ".join(f":{name}" for name in OLD_MESSAGE)
    with engine.begin() as connection:
        migrate(command.upgrade, "0001", connection)
        connection.execute(sqlalchemy.text(f"INSERT INTO messages ({columns}) VALUES ({values})"), OLD_MESSAGE)  # noqa: S608 - our own names

    message = using(url, known)
    assert isinstance(message, LedgerMessage)
    assert message.type == "video"
    assert message.media == (
        LedgerMedium(kind=Kind.VIDEO, key="trips/a.mp4", rendition_id="r1", link="https://m.example/x"),
    )

    with engine.begin() as connection:
        migrate(command.downgrade, "0001", connection)
        (row,) = connection.execute(sqlalchemy.text("SELECT kind, key, rendition_id, link FROM messages")).all()
    assert tuple(row) == ("video", "trips/a.mp4", "r1", "https://m.example/x")


def test_each_step_back_undoes_its_step(engine: Engine) -> None:
    def tables() -> Any:
        with engine.connect() as connection:
            return set(sqlalchemy.inspect(connection).get_table_names())

    for _ in range(2):
        with engine.begin() as connection:
            migrate(command.upgrade, "head", connection)
        assert {"messages", "media", "statuses", "fetches"} < tables()
        with engine.begin() as connection:
            migrate(command.downgrade, "base", connection)
        assert tables() == {"alembic_version"}


@pytest.mark.parametrize("table", ["statuses", "fetches", "unread"])
def test_ids_of_postgresql_outlast_31_bits(postgres: PostgresServer, table: str) -> None:
    url = postgres.url(postgres.new_database())
    using(url, Ledger.check)
    engine = sqlalchemy.create_engine(parse_ledger_url(url).parsed)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"SELECT setval('{table}_id_seq', 2147483647)"))
        number = connection.scalar(sqlalchemy.text(f"SELECT nextval('{table}_id_seq')"))
        kinds = {column["name"]: str(column["type"]) for column in sqlalchemy.inspect(connection).get_columns(table)}
    engine.dispose()
    assert (number, kinds["id"]) == (2_147_483_648, "BIGINT")
