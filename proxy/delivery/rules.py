"""What an operator rules for the keys under a prefix: who may keep them, and whether an alias may be a little stale."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from proxy.delivery.http import ALIAS_MAX_AGE_S, cache_control, sharing_of
from proxy.delivery.links import Sharing
from proxy.storage.store import Key

MAX_STALE_S = 24 * 3600
"""How old the last look at a key may be when an alias is answered by it, whatever the reason."""

_STALE = "stale-while-revalidate"
_STRICTNESS = list(Sharing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`stale_while_revalidate_s` is RFC 5861's, for aliases only: what a link names never changes."""

    sharing: Sharing = Sharing.PUBLIC
    stale_while_revalidate_s: int = 0


_PLAIN = Rule()


@dataclass(frozen=True, slots=True)
class PrefixRules:
    """The rule of the longest prefix applies."""

    rules: Mapping[str, Rule]

    def of(self, key: Key) -> Rule:
        fitting = [prefix for prefix in self.rules if key.startswith(prefix)]
        return self.rules[max(fitting, key=len)] if fitting else _PLAIN

    def sharing(self, key: Key, own: str | None) -> Sharing:
        """Take the stricter of the rule and the object's own Cache-Control."""
        return max(self.of(key).sharing, sharing_of(own), key=_STRICTNESS.index)

    def alias_cache_control(self, key: Key, own: str | None) -> str:
        """Say how an alias may be kept: as the object itself says, where the rule is not stricter."""
        sharing = self.sharing(key, own)
        if own and sharing is sharing_of(own):
            return own
        plain = cache_control(sharing, ALIAS_MAX_AGE_S)
        if sharing is not Sharing.PUBLIC:
            return plain
        stale_s = self.of(key).stale_while_revalidate_s
        return f"{plain}, stale-if-error={MAX_STALE_S}" + (f", {_STALE}={stale_s}" if stale_s else "")


def parse_rules(text: str) -> PrefixRules:
    """Read `<prefix>=<rule>;<rule>,...`, each rule `private`, `no-store` or `stale-while-revalidate=<seconds>`.

    Raises:
        ValueError: it is not of that form.
    """
    rules: dict[str, Rule] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        prefix, _, told = entry.partition("=")
        if not prefix or prefix in rules:
            raise ValueError(f"each rule needs a prefix of its own, as in invoices/=no-store, not {entry}")
        rules[prefix] = _rule([part.strip() for part in told.split(";")])
    return PrefixRules(MappingProxyType(rules))


def _rule(told: list[str]) -> Rule:
    sharing, stale_s = Sharing.PUBLIC, 0
    for part in told:
        if part in {Sharing.PRIVATE, Sharing.NO_STORE}:
            sharing = max(sharing, Sharing(part), key=_STRICTNESS.index)
        elif match := re.fullmatch(rf"{_STALE}=(\d{{1,5}})", part):
            stale_s = int(match[1])
        else:
            raise ValueError(f"a rule is private, no-store or {_STALE}=<seconds>, not {part or 'nothing'}")
        if stale_s > MAX_STALE_S:
            raise ValueError(f"{_STALE} is at most {MAX_STALE_S} seconds")
    return Rule(sharing=sharing, stale_while_revalidate_s=stale_s)
