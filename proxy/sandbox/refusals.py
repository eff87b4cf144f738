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
