"""What a caller wishes to have sent or minted, read from its JSON."""

from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from proxy.errors import Malformed
from proxy.media.kinds import Kind

MAX_WISH_BYTES = 64 * 1024


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read a JSON body.

        Raises:
            Malformed: every field that is wrong is named.
        """
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            mistakes = [
                (".".join(map(str, e["loc"])) or "body", e["msg"].removeprefix("Value error, ")) for e in error.errors()
            ]
            problem = "; ".join(f"{field}: {message}" for field, message in mistakes[1:])
            raise Malformed(
                field=mistakes[0][0], problem=f"{mistakes[0][1]}{'; ' if problem else ''}{problem}"
            ) from None


class SendWish(_Wish):
    """One media message: a medium of the store by `key`, or one that lies elsewhere by `link`."""

    to: str
    kind: Kind
    key: str | None = None
    link: str | None = None
    caption: str | None = None
    filename: str | None = None
    voice: bool = False
    reply_to: str | None = None
    callback_data: str | None = None

    @model_validator(mode="after")
    def _one_medium(self) -> Self:
        if (self.key is None) == (self.link is None):
            raise ValueError("give either key or link")
        return self


class VerdictWish(_Wish):
    """A look at whether a key of the store can be delivered as a kind."""

    kind: Kind
    key: str


class LinkWish(_Wish):
    """A link to a key of the store, for good or for `expires_in_s` seconds at least."""

    kind: Kind
    key: str
    expires_in_s: int | None = None
