"""A PostgreSQL that is away, slow, full, closed or gone in the middle, and the ledger when it is back."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxy.errors import DiskFull, LedgerAway, SettingsInvalid
from proxy.messaging import database, postgres
from proxy.messaging.ledger import Fate, Ledger, LedgerMessage
from proxy.messaging.outcomes import Accepted, Uncertain
from tests.messaging.ledgers import WRITTEN, entry, known, make_ledger, using, write_numbers
from tests.messaging.postgres_server import ADMIN, OWNER, PostgresServer, until

WAITS = "wait_event_type = 'Lock'"
LOCKS_TABLE = "LOCK TABLE messages IN ACCESS EXCLUSIVE MODE"
LOCKS_ROWS = "SELECT * FROM messages FOR UPDATE"


@pytest.fixture
def name(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
def url(postgres: PostgresServer, name: str) -> str:
    return postgres.url(name)


@contextmanager
def intruder(server: PostgresServer, name: str, *statements: str) -> Iterator[None]:
    """Leave a transaction open after these statements; it is committed at the end."""
    with server.connect(name) as connection, connection.transaction():
        for statement in statements:
            connection.execute(statement.encode())
        yield


async def reached(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(until, condition)


@pytest.mark.parametrize("statement", [LOCKS_TABLE, LOCKS_ROWS], ids=["table", "row"])
def test_what_another_holds_is_a_ledger_away_until_it_is_free(
    postgres: PostgresServer, name: str, url: str, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.messaging.postgres.STATEMENT_TIMEOUT_S", 0.05)

    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        with intruder(postgres, name, statement):
            with pytest.raises(LedgerAway):
                await ledger.finish("m1", Uncertain(details="ReadTimeout"))
            assert postgres.sessions(name, f"{WAITS} OR state LIKE 'idle in transaction%'") == 0
        await ledger.finish("m1", Uncertain(details="ReadTimeout"))
        return await known(ledger)

    assert using(url, work).outcome is Fate.UNCERTAIN


def test_a_connection_that_died_idle_is_not_noticed_by_the_caller(
    postgres: PostgresServer, name: str, url: str
) -> None:
    async def work(ledger: Ledger) -> None:
        await asyncio.gather(*(ledger.check() for _ in range(50)))
        for message_id in ("m1", "m2"):
            postgres.terminate(name)
            assert postgres.sessions(name) == 0
            await ledger.begin(entry(message_id))
        postgres.terminate(name)
        assert len(await ledger.recent(10)) == 2

    using(url, work)


def test_what_a_lost_connection_undid_is_done_again(postgres: PostgresServer, name: str, url: str) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        with intruder(postgres, name, LOCKS_TABLE):
            finish = asyncio.create_task(ledger.finish("m1", Accepted(message_id="wamid.1")))
            begin = asyncio.create_task(ledger.begin(entry("m2")))
            await reached(lambda: postgres.sessions(name, WAITS) == 2)
            await asyncio.to_thread(postgres.terminate, name)
        await asyncio.gather(finish, begin)
        assert (await known(ledger, "m2")).outcome is Fate.POSTING
        return await known(ledger)

    found = using(url, work)
    assert (found.outcome, found.provider_message_id) == (Fate.ACCEPTED, "wamid.1")


DIES_AT_ITS_FIRST_COMMIT = f"""
CREATE SEQUENCE commits;
GRANT ALL ON SEQUENCE commits TO {OWNER};
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('commits') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER dies AFTER INSERT OR UPDATE ON messages
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die();
"""


def test_a_commit_without_an_answer_is_repeated_only_where_twice_is_once(
    postgres: PostgresServer, name: str, url: str
) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        postgres.run(DIES_AT_ITS_FIRST_COMMIT, name)
        with pytest.raises(LedgerAway):
            await ledger.begin(entry())
        assert postgres.run("SELECT last_value, is_called FROM commits", name) == [(1, True)]
        await ledger.begin(entry())
        postgres.run("ALTER SEQUENCE commits RESTART", name)
        await ledger.finish("m1", Uncertain(details="ReadTimeout"))
        assert postgres.run("SELECT last_value FROM commits", name) == [(2,)]
        return await known(ledger)

    assert using(url, work).outcome is Fate.UNCERTAIN


def test_an_id_that_another_machine_takes_meanwhile_loses_no_message(
    postgres: PostgresServer, name: str, url: str
) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        for message_id in ("m1", "m2"):
            await ledger.begin(entry(message_id))
        with intruder(postgres, name, "UPDATE messages SET provider_message_id = 'wamid.1' WHERE id = 'm2'"):
            finish = asyncio.create_task(ledger.finish("m1", Accepted(message_id="wamid.1")))
            await reached(lambda: postgres.sessions(name, WAITS) == 1)
        await finish
        return await known(ledger)

    found = using(url, work)
    assert (found.outcome, found.provider_message_id) == (Fate.ACCEPTED, None)
    assert "another message" in str(found.error_details)


def test_a_full_disk_is_told_as_such_and_loses_nothing(postgres: PostgresServer, name: str, url: str) -> None:
    is_full = "BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END"

    async def work(ledger: Ledger) -> None:
        await ledger.begin(entry())
        postgres.run(f"CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $${is_full}$$", name)
        postgres.run("CREATE TRIGGER full_disk BEFORE INSERT ON messages EXECUTE FUNCTION fill()", name)
        with pytest.raises(DiskFull):
            await ledger.begin(entry("m2"))
        await ledger.finish("m1", Uncertain(details="ReadTimeout"))
        postgres.run("DROP TRIGGER full_disk ON messages", name)
        await ledger.begin(entry("m2"))
        assert {message.id for message in await ledger.recent(10)} == {"m1", "m2"}

    using(url, work)


def test_no_more_connections_are_a_ledger_away_until_there_are(postgres: PostgresServer, name: str, url: str) -> None:
    async def work(ledger: Ledger) -> None:
        postgres.run(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        postgres.terminate(name)
        with pytest.raises(LedgerAway):
            await ledger.check()
        postgres.run(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
        await ledger.check()

    using(url, work)


def test_its_connections_are_no_more_than_its_threads(postgres: PostgresServer, name: str, url: str) -> None:
    async def work(ledger: Ledger) -> int:
        with intruder(postgres, name, LOCKS_TABLE):
            checks = asyncio.gather(*(ledger.check() for _ in range(30)))
            await reached(lambda: postgres.sessions(name, WAITS) == database.THREADS)
        await checks
        return postgres.sessions(name)

    assert using(url, work) == database.THREADS
    assert postgres.sessions(name) == 0


def test_a_server_that_stands_still_holds_nobody_longer_than_the_limit(
    postgres: PostgresServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(ledger: Ledger) -> None:
        await ledger.begin(entry())
        for _ in range(2):
            await asyncio.gather(*(ledger.check() for _ in range(20)))
            with postgres.frozen(), monkeypatch.context() as hasty:
                hasty.setattr(database, "CALL_TIMEOUT_S", 0.2)
                answers = await asyncio.gather(*(ledger.check() for _ in range(20)), return_exceptions=True)
                assert {type(answer) for answer in answers} == {LedgerAway}
                with pytest.raises(LedgerAway):
                    await ledger.finish("m1", Uncertain(details="ReadTimeout"))
        with postgres.frozen():
            await ledger.close()

    using(url, work)


def test_a_ledger_waits_for_the_machine_that_migrates(
    postgres: PostgresServer, name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.messaging.postgres.STATEMENT_TIMEOUT_S", 0.05)
    takes_the_lock = f"SELECT pg_advisory_xact_lock({postgres_lock()})"
    long = f"{WAITS} AND wait_event = 'advisory' AND clock_timestamp() - query_start > interval '0.2 s'"

    async def run() -> None:
        ledgers = [make_ledger(url) for _ in range(3)]
        with intruder(postgres, name, takes_the_lock):
            opened = asyncio.gather(*(ledger.open() for ledger in ledgers))
            await reached(lambda: postgres.sessions(name, long) == len(ledgers))
            assert postgres.run("SELECT to_regclass('messages')", name) == [(None,)]
        await opened
        for ledger in ledgers:
            await ledger.check()
            await ledger.close()

    asyncio.run(run())


def postgres_lock() -> int:
    return postgres._MIGRATION_LOCK  # noqa: SLF001 - the lock is its name


def test_a_wrong_password_is_a_ledger_away_that_names_the_user_and_not_the_password(
    postgres: PostgresServer, name: str
) -> None:
    with pytest.raises(LedgerAway) as away:
        using(postgres.url(name, password="wr0ng"), Ledger.check)
    told = repr(away.value.__cause__)
    assert OWNER in told
    assert "authentication failed" in told
    assert "wr0ng" not in told


def test_a_user_who_may_not_make_tables_is_a_setting_to_mend(postgres: PostgresServer) -> None:
    with pytest.raises(SettingsInvalid, match="LEDGER_URL: permission denied for schema public; its user must"):
        using(postgres.url(postgres.new_database(owner=ADMIN)), Ledger.check)


def test_a_database_that_cannot_keep_every_text_is_a_setting_to_mend(postgres: PostgresServer) -> None:
    with pytest.raises(SettingsInvalid, match="LEDGER_URL: the database keeps text as LATIN1"):
        using(postgres.url(postgres.new_database(encoding="LATIN1")), Ledger.check)


def test_no_file_of_the_server_holds_a_number(postgres: PostgresServer, url: str) -> None:
    def held() -> bytes:
        return b"".join(path.read_bytes() for path in postgres.data.parent.rglob("*") if path.is_file())

    using(url, write_numbers)
    postgres.run("CHECKPOINT")
    found = held()
    assert found.count("cannot reach …4567".encode()) >= 4
    assert [written for written in WRITTEN if written.encode() in found] == []


def test_a_database_that_is_down_at_the_start_is_a_ledger_away_until_it_is_up(own_postgres: PostgresServer) -> None:
    url = own_postgres.url(own_postgres.new_database())
    own_postgres.stop()

    async def run() -> None:
        ledger = make_ledger(url)
        try:
            with pytest.raises(LedgerAway):
                await ledger.open()
            own_postgres.start()
            await ledger.open()
            await ledger.begin(entry())
        finally:
            await ledger.close()

    asyncio.run(run())


def test_a_primary_that_became_a_standby_is_left_as_soon_as_something_is_to_be_written(
    own_postgres: PostgresServer,
) -> None:
    name = own_postgres.new_database()

    async def work(ledger: Ledger) -> None:
        await ledger.begin(entry())
        own_postgres.stop()
        own_postgres.put("data/standby.signal", b"")
        own_postgres.start(default_transaction_isolation="read committed")  # a standby can do no more
        await ledger.check()
        with pytest.raises(LedgerAway):
            await ledger.begin(entry("m2"))
        ((refused_at,),) = own_postgres.run("SELECT clock_timestamp()::text")
        await ledger.check()
        assert own_postgres.sessions(name, f"backend_start > '{refused_at}'") == 1
        own_postgres.run("SELECT pg_promote()")
        await ledger.begin(entry("m2"))

    using(own_postgres.url(name), work)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_what_was_answered_is_there_after_the_server_broke_off_and_came_back(
    own_postgres: PostgresServer, how: signal.Signals
) -> None:
    kept: set[str] = set()
    failures: list[str] = []

    async def write(ledger: Ledger, writer: int, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            message_id = f"m{writer}-{number}"
            number += 1
            try:
                await ledger.begin(entry(message_id))
            except LedgerAway:
                failures.append(message_id)
                await asyncio.sleep(0)
            else:
                kept.add(message_id)

    async def work(opened: Ledger) -> set[str]:
        stop = asyncio.Event()
        writers = [asyncio.create_task(write(opened, writer, stop)) for writer in range(6)]
        await reached(lambda: len(kept) > 20)
        await asyncio.to_thread(own_postgres.stop, how)
        await reached(lambda: failures)
        await asyncio.to_thread(own_postgres.start)
        before = len(kept)
        await reached(lambda: len(kept) > before + 20)
        stop.set()
        await asyncio.gather(*writers)
        return {str(row[0]) for row in own_postgres.run("SELECT id FROM messages", ledger)}

    ledger = own_postgres.new_database()
    found = using(own_postgres.url(ledger), work)
    assert kept <= found
    assert found - kept <= set(failures)


@pytest.fixture
def certificates(own_postgres: PostgresServer) -> tuple[Path, Path]:
    """Give the server a certificate for `localhost`; the file that vouches for it, and one that does not."""
    key, certificate = self_signed("localhost")
    _, other = self_signed("localhost")
    own_postgres.stop()
    own_postgres.put("server.key", key)
    own_postgres.put("server.crt", certificate)
    own_postgres.start(ssl="on", ssl_key_file="../server.key", ssl_cert_file="../server.crt")
    return own_postgres.put("trusted.crt", certificate), own_postgres.put("other.crt", other)


def self_signed(name: str) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    written = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return written, certificate.public_bytes(serialization.Encoding.PEM)


def test_the_url_says_whom_to_trust(own_postgres: PostgresServer, certificates: tuple[Path, Path]) -> None:
    trusted, other = certificates
    name = own_postgres.new_database()
    url = f"{own_postgres.url(name)}?sslmode=verify-full&sslrootcert="
    encrypted = "EXISTS (SELECT FROM pg_stat_ssl WHERE pg_stat_ssl.pid = pg_stat_activity.pid AND ssl)"

    async def work(ledger: Ledger) -> int:
        await ledger.begin(entry())
        return own_postgres.sessions(name, encrypted)

    assert using(f"{url}{trusted}", work) >= 1
    with pytest.raises(LedgerAway) as away:
        using(f"{url}{other}", Ledger.check)
    assert "certificate verify failed" in repr(away.value.__cause__)
