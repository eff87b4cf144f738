"""What the API says to a message that it does not take.

Source: Meta's error code page; the sentences of code 100 are those that public clients report.
"""

from dataclasses import dataclass

BAD_PARAMETER, MISSING, BAD_VALUE, UNSUPPORTED_TYPE = 100, 131008, 131009, 131051


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """`details` stand apart from the message for WhatsApp's own codes; for the Graph's code 100 there are none."""

    code: int
    message: str
    details: str | None = None


def bad_parameter(sentence: str) -> Refusal:
    return Refusal(code=BAD_PARAMETER, message=f"(#100) {sentence}")


def too_long(name: str, limit: int) -> Refusal:
    return bad_parameter(f"Param {name} must be at most {limit} characters long.")


def missing(details: str) -> Refusal:
    return Refusal(code=MISSING, message="(#131008) Required parameter is missing", details=details)


def bad_value(details: str) -> Refusal:
    return Refusal(code=BAD_VALUE, message="(#131009) Parameter value is not valid", details=details)


def unsupported(details: str) -> Refusal:
    return Refusal(code=UNSUPPORTED_TYPE, message="(#131051) Unsupported message type", details=details)


def no_such_object(name: str) -> Refusal:
    return bad_parameter(
        f"Unsupported request. Object with ID '{name}' does not exist, "
        "cannot be loaded due to missing permissions, or does not support this operation"
    )


THROUGHPUT = Refusal(
    code=130429,
    message="(#130429) Rate limit hit",
    details="Message failed to send because there were too many messages sent from this phone number in a short time.",
)
PAIR_RATE = Refusal(
    code=131056,
    message="(#131056) (Business Account, Consumer Account) pair rate limit hit",
    details="Message failed to send because there were too many messages sent from this phone number to the same "
    "phone number in a short time.",
)
MAINTENANCE = Refusal(
    code=131057,
    message="(#131057) Account in maintenance mode",
    details="The account is being upgraded to a higher throughput.",
)
