"""A host that others keep: real sockets, TLS where it is asked for, and answers down to the byte."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from httpcore2 import AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream, ConnectError

from proxy.delivery.cache import DiskCache
from proxy.messaging.import_hosts import ImportHosts
from proxy.messaging.import_network import PublicNetwork, SocketOptions
from proxy.messaging.import_origin import ImportLimits, ImportOrigin
from proxy.messaging.importing import Importing
from proxy.storage.folder import FolderStore

PUBLIC = "93.184.216.34"
NAME = "files.example.com"


@dataclass(frozen=True)
class Asked:
    path: str
    headers: dict[str, str]


Page = Callable[[Asked], Iterable[bytes]]


def answer(status: int, body: bytes = b"", **headers: str) -> Page:
    """Answer at once, with a length."""
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return lambda _: [f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{named}\r\n".encode() + body]


def redirect(location: str, status: int = 302) -> Page:
    return answer(status, Location=location)


def endless(head: bytes, piece: bytes) -> Page:
    """Answer for as long as anybody listens."""

    def pieces(_: Asked) -> Iterator[bytes]:
        yield head
        while True:
            yield piece

    return pieces


@dataclass
class ForeignHost:
    """`pages` by path; what was asked, in order. A page that is not there is a 404."""

    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    gone: threading.Event = field(default_factory=threading.Event)

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]


@contextmanager
def foreign_host(tls: ssl.SSLContext | None = None) -> Iterator[ForeignHost]:
    host = ForeignHost()

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            try:
                while line := self.rfile.readline():
                    self._answer(line)
            except OSError:
                return

        def _answer(self, line: bytes) -> None:
            named = iter(self.rfile.readline, b"\r\n")
            headers = dict(field.decode().rstrip().split(": ", 1) for field in named)
            asked = Asked(line.split()[1].decode(), {name.lower(): value for name, value in headers.items()})
            host.asked.append(asked)
            for piece in host.pages.get(asked.path.partition("?")[0], answer(404))(asked):
                if host.gone.is_set():
                    raise OSError
                self.wfile.write(piece)

    class Server(ThreadingTCPServer):
        daemon_threads = True

        def get_request(self) -> object:  # type: ignore[override] # a pair of a socket and its address, as above it
            connection, address = super().get_request()
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            return connection, address

        def handle_error(self, *_: object) -> None:
            """Say nothing: a handshake that the other side breaks off is a case of ours."""

    with Server(("127.0.0.1", 0), Handler) as server:
        host.port = server.server_address[1]
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield host
        finally:
            host.gone.set()
            server.shutdown()
            serving.join()


class Beyond(AsyncNetworkBackend):
    """The internet of the test: one public address, behind which the foreign host stands."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._backend = AnyIOBackend()
        self.connected: list[tuple[str, int]] = []
        self.refuses = False

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's interface
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> AsyncNetworkStream:
        self.connected.append((host, port))
        assert host == PUBLIC, f"{host} must never be connected to"
        if self.refuses:
            raise ConnectError
        return await self._backend.connect_tcp(
            "127.0.0.1", self._port, timeout=timeout, local_address=local_address, socket_options=socket_options
        )


class Resolver:
    """Gives its answers one after the other, the last of them for good; None is none. Keeps the names it was asked."""

    def __init__(self, *answers: Sequence[str] | Exception | None) -> None:
        self.answers = list(answers or [[PUBLIC]])
        self.names: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.names.append(host)
        answered = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answered is None:
            await asyncio.Event().wait()
            return ()
        if isinstance(answered, Exception):
            raise answered
        return answered


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(kw_only=True)
class World:
    """All that an import needs; the store is a folder, the drafts lie in a disk cache."""

    folder: Path
    host: ForeignHost
    resolver: Resolver = field(default_factory=Resolver)
    hosts: tuple[str, ...] = (f"http://{NAME}",)
    limits: ImportLimits = field(default_factory=lambda: ImportLimits(max_bytes=1_000_000))
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    clock: Clock = field(default_factory=Clock)
    resolve_s: float = 3.0

    def __post_init__(self) -> None:
        self.beyond = Beyond(self.host.port)

    @asynccontextmanager
    async def importing(self) -> AsyncIterator[Importing]:
        store = FolderStore(self.folder / "store")
        cache = DiskCache(self.folder / "cache", 1_000_000_000, clock=self.clock)
        importing = Importing(
            hosts=ImportHosts.parse(self.hosts),
            origin=ImportOrigin(
                PublicNetwork(self.beyond, self.resolver, resolve_s=self.resolve_s), self.tls, self.limits
            ),
            store=store,
            draft=cache.draft,
            total_s=self.limits.total_s,
            clock=self.clock,
        )
        try:
            yield importing
        finally:
            await importing.close()
            await store.close()

    def bring(self, link: str = f"http://{NAME}/a.jpg") -> str:
        async def work() -> str:
            async with self.importing() as importing:
                return await importing(link)

        return asyncio.run(work())

    def stored(self) -> dict[str, bytes]:
        root = self.folder / "store" / "imported"
        return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}

    def drafts(self) -> list[Path]:
        return [file for file in (self.folder / "cache" / "drafts").rglob("*") if file.is_file()]


@dataclass(frozen=True)
class Authority:
    """A certificate authority that nobody knows, for as long as a test."""

    client: ssl.SSLContext
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    folder: Path

    @classmethod
    def new(cls, folder: Path) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate("An authority", key, None, None)
        client = ssl.create_default_context(cadata=certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"))
        return cls(client, key, certificate, folder)

    def server(self, name: str) -> ssl.SSLContext:
        """Give what a server needs to be known as `name`."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, key, self.certificate, self.key)
        file = self.folder / f"{name}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey | None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signer = issuer_key or key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if issuer is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(signer, hashes.SHA256())
