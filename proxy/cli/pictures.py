"""The picture of a report: how far messages came, why others did not, and when; drawn by Pillow's own means.

The colours are Okabe and Ito's, which people who are colour-blind tell apart; each has its word beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from proxy.cli.reports import in_time, wrongs
from proxy.errors import Malformed
from proxy.messaging.sums import Count, Report

WIDTH_PX: Final = 1200
MARGIN_PX: Final = 48
LABELS_PX: Final = 300
SAID_PX: Final = 170
ROW_PX: Final = 40
BAR_PX: Final = 26
COLUMNS_PX: Final = 220
MAX_ROWS: Final = 12
LEAST_SHARE: Final = 0.001
MAX_HOURS: Final = 26
MAX_DATES: Final = 15
"""So many labels stand under the columns without touching."""

INK: Final = "#1a1a1a"
FAINT: Final = "#6b6b6b"
RULE: Final = "#d9d9d9"
ARRIVED: Final = "#0072b2"
UNDER_WAY: Final = "#a8a8a8"
WRONG: Final = "#d55e00"


@dataclass(frozen=True, slots=True)
class _Row:
    label: str
    count: int
    share: float


def draw(report: Report, file: Path) -> None:
    """Write a PNG.

    Raises:
        Malformed: the file cannot be written.
    """
    steps, wrong = _steps(report.whole), _wrong(report.whole)
    height = 150 + 60 + ROW_PX * len(steps) + 60 + ROW_PX * max(1, len(wrong)) + 70 + COLUMNS_PX + 90
    image = Image.new("RGB", (WIDTH_PX, height), "white")
    sheet = _Sheet(ImageDraw.Draw(image))
    sheet.heading(report)
    top = sheet.rows("How far they came", steps, 150, colour=ARRIVED)
    top = sheet.rows("What did not arrive, and why", wrong, top, colour=WRONG, nothing="Nothing failed.")
    sheet.columns(report, top)
    try:
        image.save(file, "PNG", optimize=True)
    except OSError as error:
        raise Malformed(field="--png", problem=f"{file} cannot be written ({error.strerror})") from error


def _steps(count: Count) -> list[_Row]:
    return [_Row(step, number, number / max(1, count.posted)) for step, number in count.funnel.items()]


def _wrong(count: Count) -> list[_Row]:
    rows = [_Row(name.replace("_", " "), number, number / max(1, count.posted)) for name, number in wrongs(count)]
    if len(rows) <= MAX_ROWS:
        return rows
    rest = rows[MAX_ROWS - 1 :]
    return [
        *rows[: MAX_ROWS - 1],
        _Row(f"{len(rest)} other reasons", sum(row.count for row in rest), sum(row.share for row in rest)),
    ]


def _percent(row: _Row) -> str:
    return "<0.1%" if row.count and row.share < LEAST_SHARE else f"{row.share:.1%}"


class _Sheet:
    def __init__(self, pen: ImageDraw.ImageDraw) -> None:
        self._pen = pen
        self._fonts = {size: ImageFont.load_default(size) for size in (16, 18, 22, 34)}

    def heading(self, report: Report) -> None:
        self._say((MARGIN_PX, 36), "What became of the messages", 34)
        self._say((MARGIN_PX, 84), f"{report.span}: {report.whole.posted:,} posted", 22)
        self._say((MARGIN_PX, 114), in_time(report.whole), 18, FAINT)

    def rows(self, title: str, rows: Sequence[_Row], top: int, *, colour: str, nothing: str = "") -> int:
        """Draw a bar for each; gives where the next part may begin."""
        self._title(title, top)
        top += 60
        if not rows:
            self._say((MARGIN_PX, top + ROW_PX // 2), nothing, 18, FAINT, anchor="lm")
            return top + ROW_PX
        left = MARGIN_PX + LABELS_PX
        room = WIDTH_PX - MARGIN_PX - SAID_PX - left
        most = max(1, *(row.count for row in rows))
        for row in rows:
            middle = top + ROW_PX // 2
            self._say((left - 14, middle), self._fitted(row.label, LABELS_PX - 14), 18, anchor="rm")
            length = max(2, round(room * row.count / most)) if row.count else 0
            if length:
                self._pen.rectangle((left, middle - BAR_PX // 2, left + length, middle + BAR_PX // 2), fill=colour)
            self._say((left + length + 12, middle), f"{row.count:,}  ({_percent(row)})", 18, anchor="lm")
            top += ROW_PX
        return top

    def columns(self, report: Report, top: int) -> None:
        """Draw what was begun in each hour or day, by what became of it."""
        unit = "hour" if report.span.by_hours else "day"
        self._title(f"By the {unit} in which they were posted", top)
        self._legend(top)
        left, right = MARGIN_PX + 70, WIDTH_PX - MARGIN_PX
        ground = top + 70 + COLUMNS_PX
        most = max(1, *(count.posted for _, count in report.parts))
        for share in (0, 0.5, 1):
            height = ground - round(COLUMNS_PX * share)
            self._pen.line((left, height, right, height), fill=RULE)
            if share * most == int(share * most):
                self._say((left - 10, height), f"{int(share * most):,}", 16, FAINT, anchor="rm")
        step = (right - left) / len(report.parts)
        labelled = -(-len(report.parts) // (MAX_HOURS if report.span.by_hours else MAX_DATES))
        for place, (span, count) in enumerate(report.parts):
            begin, end = left + place * step, left + (place + 1) * step
            gap = min(3.0, step / 6)
            base = 0
            for part, colour in ((count.arrived, ARRIVED), (count.under_way, UNDER_WAY), (count.wrong, WRONG)):
                if part:
                    low = ground - round(COLUMNS_PX * base / most)
                    high = min(low - 1, ground - round(COLUMNS_PX * (base + part) / most))
                    self._pen.rectangle((begin + gap, high, end - gap, low - 1), fill=colour)
                base += part
            if place % labelled == 0:
                self._say(((begin + end) / 2, ground + 10), report.span.label(span), 16, FAINT, anchor="ma")

    def _legend(self, top: int) -> None:
        right = float(WIDTH_PX - MARGIN_PX)
        for word, colour in (("failed, refused or unsure", WRONG), ("under way", UNDER_WAY), ("arrived", ARRIVED)):
            self._say((right, top + 36), word, 16, FAINT, anchor="rm")
            right -= self._fonts[16].getlength(word) + 24
            self._pen.rectangle((right, top + 28, right + 16, top + 44), fill=colour)
            right -= 24

    def _title(self, title: str, top: int) -> None:
        self._pen.line((MARGIN_PX, top + 10, WIDTH_PX - MARGIN_PX, top + 10), fill=RULE)
        self._say((MARGIN_PX, top + 36), title, 22, anchor="lm")

    def _fitted(self, label: str, room_px: int) -> str:
        while self._fonts[18].getlength(label) > room_px:
            label = f"{label.rstrip('.')[:-1]}..."
        return label

    def _say(self, place: tuple[float, float], text: str, size: int, colour: str = INK, *, anchor: str = "la") -> None:
        self._pen.text(place, text, fill=colour, font=self._fonts[size], anchor=anchor)
