"""Verdicts: whether a source can be delivered as a kind, how that is kept, and how it is shown."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from proxy.errors import RefusedMedium, refusal
from proxy.media.kinds import AsIs, Made


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a source cannot be delivered as a kind: an error's code and evidence."""

    code: str
    evidence: dict[str, object]

    def error(self) -> RefusedMedium:
        return refusal(self.code, self.evidence)


Verdict = AsIs | Made | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is kept beside a body: the verdict it came of, and its source's date."""

    verdict: Verdict
    modified_at: datetime

    def to_bytes(self) -> bytes:
        return json.dumps(
            {
                "outcome": type(self.verdict).__name__,
                "modified_at": self.modified_at.timestamp(),
                "verdict": asdict(self.verdict),
            }
        ).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Record | None":
        """Read a record back; None where it is damaged, or of a release that says it differently."""
        from proxy.delivery.shapes import SHAPES  # noqa: PLC0415 - pydantic, which who keeps nothing does without

        try:
            fields = json.loads(raw)
            return cls(
                verdict=SHAPES[fields["outcome"]].validate_python(fields["verdict"]),
                modified_at=datetime.fromtimestamp(fields["modified_at"], UTC),
            )
        except (ValueError, TypeError, KeyError, OverflowError):
            return None


def refused_by(error: RefusedMedium) -> Refused:
    return Refused(code=error.code, evidence=error.evidence)


def in_json(verdict: Verdict) -> dict[str, object]:
    """Show a verdict to the world; the shape is one for commands and services."""
    match verdict:
        case AsIs():
            return {"outcome": "as_is", **asdict(verdict)}
        case Made():
            return {"outcome": "made", **asdict(verdict)}
        case Refused():
            return {
                "outcome": "refused",
                "code": verdict.code,
                "message": verdict.error().message,
                **verdict.evidence,
            }
