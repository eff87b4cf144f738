"""How a foreign link is read, and which hosts are open: tricks by which one reader sees another host than the next."""

from typing import Any
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ImportRefused, SettingsInvalid
from proxy.messaging.import_hosts import MAX_NAME_BYTES, ImportHosts, WebAddress, read_address
from proxy.settings import Settings
from proxy.storage.store import parse_key

OPEN = ImportHosts.parse(["files.example.com", "http://plain.example.com", "alt.example.com:8443", "*.cdn.example.com"])


def wide(text: str) -> str:
    """Write it in the letters that stand among Chinese ones."""
    return "".join(chr(ord(char) + 0xFEE0) for char in text)


TAKEN = {
    "as it is": ("https://files.example.com/a.jpg", "https://files.example.com/a.jpg"),
    "no path": ("https://files.example.com", "https://files.example.com/"),
    "no path, but a query": ("https://files.example.com?a=1", "https://files.example.com/?a=1"),
    "capitals": ("HTTPS://Files.EXAMPLE.com/A.jpg", "https://files.example.com/A.jpg"),
    "a dot at its end": ("https://files.example.com./a", "https://files.example.com/a"),
    "the port that is meant anyway": ("https://files.example.com:443/a", "https://files.example.com/a"),
    "its own port": ("https://alt.example.com:8443/a", "https://alt.example.com:8443/a"),
    "http, where it is open": ("http://plain.example.com/a", "http://plain.example.com/a"),
    "below a wildcard": ("https://a.cdn.example.com/a", "https://a.cdn.example.com/a"),
    "far below a wildcard": ("https://a.b.cdn.example.com/a", "https://a.b.cdn.example.com/a"),
    "a fragment": ("https://files.example.com/a#@evil.example/", "https://files.example.com/a"),
    "an at in the path": ("https://files.example.com/a@127.0.0.1/b", "https://files.example.com/a@127.0.0.1/b"),
    "wide letters": (f"https://{wide('files')}\u3002example.com/a", "https://files.example.com/a"),
    "letters in the path": ("https://files.example.com/ä.jpg", "https://files.example.com/%C3%A4.jpg"),
    "escapes": ("https://files.example.com/%2e%2F?a=%20+b", "https://files.example.com/%2e%2F?a=%20+b"),
    "what a URL may not hold": ('https://files.example.com/a|b"{}', "https://files.example.com/a%7Cb%22%7B%7D"),
    "dots in the path": ("https://files.example.com/../../a", "https://files.example.com/../../a"),
}
REFUSED = {
    "another host": "https://evil.example/a",
    "a name that ends so": "https://evilfiles.example.com/a",
    "a name that begins so": "https://files.example.com.evil.example/a",
    "a name below one that is open alone": "https://a.files.example.com/a",
    "a wildcard's own name": "https://cdn.example.com/a",
    "a name that ends as a wildcard": "https://evilcdn.example.com/a",
    "http, where it is not open": "http://files.example.com/a",
    "https, where http is open": "https://plain.example.com/a",
    "another port": "https://files.example.com:8443/a",
    "the wrong port of a port": "https://alt.example.com/a",
    "port 0": "https://files.example.com:0/a",
    "a port beyond all": "https://files.example.com:65979/a",
    "an empty port": "https://files.example.com:/a",
    "a port of other digits": "https://files.example.com:٤٤٣/a",
    "SSH": "https://files.example.com:22/a",
    "a user": "https://files.example.com@127.0.0.1/a",
    "a user and a password": "https://a:b@files.example.com/a",
    "a hidden user": "https://127.0.0.1#@files.example.com/a",
    "a host behind a question": "https://127.0.0.1?@files.example.com/a",
    "two ats": "https://a@127.0.0.1@files.example.com/a",
    "a backslash for a slash": "https://files.example.com\\@127.0.0.1/a",
    "a backslash in the path": "https://files.example.com/a\\b",
    "backslashes for the scheme": "https:\\\\files.example.com/a",
    "one slash": "https:/files.example.com/a",
    "three slashes": "https:///files.example.com/a",
    "no scheme": "//files.example.com/a",
    "file": "file:///etc/passwd",
    "gopher": "gopher://files.example.com/a",
    "a scheme in a scheme": "url:https://files.example.com/a",
    "a space before": " https://files.example.com/a",
    "a space in the host": "https://files.example.com /a",
    "a space in the path": "https://files.example.com/a b",
    "a tab in the scheme": "ht\ttps://files.example.com/a",
    "a line break in the path": "https://files.example.com/a\r\nHost: 127.0.0.1",
    "a line break at the end": "https://files.example.com/a\n",
    "a NUL": "https://files.example.com\0.evil.example/a",
    "a wide space": "https://files.example.com\u3000/a",
    "a half of a letter": "https://files.example.com/\ud800",
    "a half of a letter in the host": "https://fi\ud800les.example.com/",
    "an escaped host": "https://files%2eexample.com/a",
    "an escaped slash in the host": "https://127.0.0.1%2ffiles.example.com/a",
    "loopback": "https://127.0.0.1/a",
    "loopback, in short": "https://127.1/a",
    "a decimal address": "https://2130706433/a",
    "an octal address": "https://0177.0.0.1/a",
    "a hex address": "https://0x7f.1/a",
    "a hex address in one": "https://0x7f000001/a",
    "an address of wide digits": f"https://{wide('127.0.0.1')}/a",
    "circled digits": "https://①②⑦.⓪.⓪.①/a",
    "IPv6 loopback": "https://[::1]/a",
    "mapped IPv6": "https://[::ffff:127.0.0.1]/a",
    "IPv6 with a zone": "https://[fe80::1%25eth0]/a",
    "localhost": "https://localhost/a",
    "a dot before": "https://.files.example.com/a",
    "two dots": "https://files..example.com/a",
    "two dots at its end": "https://files.example.com../a",
    "no host": "https:///a",
    "a soft hyphen alone": "https://\u00ad/a",
    "another alphabet's letter": "https://fil\u0435s.example.com/a",
    "a label that is too long": f"https://{'a' * 64}.cdn.example.com/a",
    "a link that is too long": f"https://files.example.com/{'a' * 5000}",
}


@pytest.mark.parametrize(("link", "read"), TAKEN.values(), ids=TAKEN.keys())
def test_an_open_host_is_read_in_one_way(link: str, read: str) -> None:
    assert str(OPEN.read(link)) == read


@pytest.mark.parametrize("link", REFUSED.values(), ids=REFUSED.keys())
def test_what_can_be_read_in_two_ways_or_lies_elsewhere_is_refused(link: str) -> None:
    with pytest.raises(ImportRefused):
        OPEN.read(link)


@given(st.text(max_size=80))
def test_no_text_is_read_as_anything_but_an_address_or_a_refusal(text: str) -> None:
    for link in (text, f"https://{text}", f"https://files.example.com{text}", f"https://files.example.com/{text}"):
        try:
            address = read_address(link)
        except ImportRefused:
            continue
        assert str(address).isascii()
        assert str(address).isprintable()
        assert " " not in str(address)
        assert read_address(str(address)) == address


HTTPS = WebAddress(scheme="https", host="files.example.com", port=443, target="/a/b.jpg?c")


@pytest.mark.parametrize(
    ("location", "leads"),
    [
        pytest.param("https://files.example.com/z", "https://files.example.com/z", id="whole"),
        pytest.param("/z", "https://files.example.com/z", id="a path"),
        pytest.param("z?d", "https://files.example.com/a/z?d", id="a name"),
        pytest.param("//a.cdn.example.com/z", "https://a.cdn.example.com/z", id="another host that is open"),
        pytest.param("https://alt.example.com:8443/z", "https://alt.example.com:8443/z", id="another port"),
    ],
)
def test_a_redirect_leads_where_a_link_may(location: str, leads: str) -> None:
    assert str(OPEN.follow(HTTPS, location)) == leads


@pytest.mark.parametrize(
    ("location", "says"),
    [
        pytest.param("https://127.0.0.1/a", "names no host", id="an address"),
        pytest.param("https://[::1]/a", "names no host", id="an IPv6 address"),
        pytest.param("//evil.example/a", "does not name", id="another host"),
        pytest.param("https://files.example.com@evil.example/", "user", id="a user"),
        pytest.param("/\\evil.example/a", "two ways", id="a backslash"),
        pytest.param("ht\ntps://evil.example", "two ways", id="a line break"),
        pytest.param("http://plain.example.com/a", "from https to http", id="to http, though that host is open"),
        pytest.param("file:///etc/passwd", "no web address", id="a file"),
        pytest.param("https://[evil/", "to what is no web address", id="half a bracket"),
    ],
)
def test_a_redirect_leads_nowhere_else(location: str, says: str) -> None:
    with pytest.raises(ImportRefused, match=says):
        OPEN.follow(HTTPS, location)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        pytest.param("/a/lake.jpg", "lake.jpg", id="plain"),
        pytest.param("/a/lake.jpg?b=/c.png", "lake.jpg", id="without its query"),
        pytest.param("/%C3%A4%20(1)+b.jpg", "ä (1)+b.jpg", id="unescaped"),
        pytest.param("/", "file", id="none"),
        pytest.param("/..", "file", id="up"),
        pytest.param("/%2e%2e%2fetc%2fpasswd", "_etc_passwd", id="up, escaped"),
        pytest.param("/a%5cb.jpg", "a_b.jpg", id="a backslash"),
        pytest.param("/a%00%0a%e2%80%aeb.jpg", "a___b.jpg", id="controls, and what turns a text round"),
        pytest.param("/%ff.jpg", "\ufffd.jpg", id="not UTF-8"),
        pytest.param(f"/{'ä' * 200}.jpg", "ä" * 48 + ".jpg", id="long"),
        pytest.param("/.medialink", "medialink", id="a hidden name"),
    ],
)
def test_the_last_segment_names_the_key(path: str, name: str) -> None:
    assert WebAddress(scheme="https", host="a.example", port=443, target=path).name == name


@given(st.text())
def test_every_name_fits_a_key(text: str) -> None:
    try:
        name = read_address(f"https://a.example/{text}").name
    except ImportRefused:
        return
    assert parse_key(f"imported/0/{name}").count("/") == 2
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert not {category(char) for char in name} & {"Cc", "Cf", "Cs"}


GIVEN: dict[str, Any] = {"foreign_links": "import"}


@pytest.mark.parametrize(
    ("hosts", "says"),
    [
        pytest.param("", "IMPORT_HOSTS: must name the hosts", id="none"),
        pytest.param("10.0.0.1", "names no host", id="an address"),
        pytest.param("[::1]", "names no host", id="an IPv6 address"),
        pytest.param("2130706433", "names no host", id="a number"),
        pytest.param("localhost", "names no host", id="a name without a dot"),
        pytest.param("user@files.example.com", "user name", id="a user"),
        pytest.param("ftp://files.example.com", "no web address", id="another scheme"),
        pytest.param("files.example.com/a", "no path", id="a path"),
        pytest.param("https://files.example.com/", "no path", id="a slash"),
        pytest.param("*", "names no host", id="everything"),
        pytest.param("*.com", "names no host", id="everything below com"),
        pytest.param("a.*.example.com", "names no host", id="a star in between"),
        pytest.param("files.example.com:99999", "names no host", id="no such port"),
    ],
)
def test_hosts_that_cannot_be_are_named_at_the_start(hosts: str, says: str) -> None:
    with pytest.raises(SettingsInvalid, match=says):
        Settings.read(**GIVEN, import_hosts=hosts)


def test_hosts_are_read_from_one_text() -> None:
    hosts = " files.example.com, http://plain.example.com:8080 ,*.cdn.example.com"
    assert ImportHosts.parse(Settings.read(**GIVEN, import_hosts=hosts).import_hosts) == ImportHosts(
        origins=frozenset({("https", "files.example.com", 443), ("http", "plain.example.com", 8080)}),
        families=frozenset({("https", "cdn.example.com", 443)}),
    )
