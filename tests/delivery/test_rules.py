"""Rules for prefixes: the longest prefix, the stricter word, and no sentence that cannot be read."""

import pytest

from proxy.delivery.links import Sharing
from proxy.delivery.rules import Rule, parse_rules
from proxy.storage.store import Key

RULES = parse_rules(
    "invoices/=no-store, prices/=stale-while-revalidate=60, prices/vip/=private ,reports/=private;no-store"
)


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("invoices/a.pdf", Rule(sharing=Sharing.NO_STORE)),
        ("prices/a.pdf", Rule(stale_while_revalidate_s=60)),
        ("prices/vip/a.pdf", Rule(sharing=Sharing.PRIVATE)),
        ("reports/a.pdf", Rule(sharing=Sharing.NO_STORE)),
        ("a/invoices/a.pdf", Rule()),
        ("a.pdf", Rule()),
    ],
)
def test_the_longest_prefix_rules(key: str, rule: Rule) -> None:
    assert RULES.of(Key(key)) == rule


@pytest.mark.parametrize(
    ("key", "own", "sharing", "alias"),
    [
        ("a.pdf", None, Sharing.PUBLIC, "public, max-age=60, stale-if-error=86400"),
        ("a.pdf", "max-age=5", Sharing.PUBLIC, "max-age=5"),
        ("a.pdf", "private, max-age=5", Sharing.PRIVATE, "private, max-age=5"),
        ("prices/a.pdf", None, Sharing.PUBLIC, "public, max-age=60, stale-if-error=86400, stale-while-revalidate=60"),
        ("prices/a.pdf", "private", Sharing.PRIVATE, "private"),
        ("prices/vip/a.pdf", None, Sharing.PRIVATE, "private, max-age=60"),
        ("prices/vip/a.pdf", "public, max-age=5", Sharing.PRIVATE, "private, max-age=60"),
        ("prices/vip/a.pdf", "no-store", Sharing.NO_STORE, "no-store"),
        ("invoices/a.pdf", "private", Sharing.NO_STORE, "no-store"),
    ],
)
def test_the_stricter_of_rule_and_object_is_kept(key: str, own: str | None, sharing: Sharing, alias: str) -> None:
    assert RULES.sharing(Key(key), own) is sharing
    assert RULES.alias_cache_control(Key(key), own) == alias


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("=private", "a prefix of its own"),
        ("a/=private,a/=no-store", "a prefix of its own"),
        ("a/", "not nothing"),
        ("a/=privat", "not privat"),
        ("a/=stale-while-revalidate", "not stale-while-revalidate"),
        ("a/=stale-while-revalidate=-1", "not stale"),
        ("a/=stale-while-revalidate=90000", "at most 86400 seconds"),
    ],
)
def test_what_is_no_rule_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_rules(text)


def test_nothing_said_is_no_rule() -> None:
    assert parse_rules(" ").of(Key("a.pdf")) == Rule()
