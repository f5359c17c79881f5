"""Horizontal bars as SVG. A small writer of our own: no library, the same file from the same figures."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

OURS, THEIRS, BOUND = "#c2410c", "#64748b", "#cbd5e1"
LABELS, BARS, VALUES, ROW, HEAD, GAP = 250, 380, 90, 20, 26, 18
FONT = 'font-family="system-ui, sans-serif"'


@dataclass(frozen=True)
class Bar:
    label: str
    value: float
    shown: str
    kind: str = "theirs"  # or "ours", "bound"


@dataclass(frozen=True)
class Panel:
    title: str
    bars: list


def draw(title: str, note: str, panels) -> str:
    """One drawing with a panel of bars for each case, all from zero, each panel with a scale of its own."""
    panels = [panel for panel in panels if panel.bars]
    width = LABELS + BARS + VALUES
    height = 56 + sum(HEAD + ROW * len(panel.bars) + GAP for panel in panels)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" {FONT}>',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        text(12, 24, title, 16, weight="600"),
        text(12, 42, note, 11, fill="#475569"),
    ]
    top = 56
    for panel in panels:
        out.append(text(12, top + 16, panel.title, 12, weight="600"))
        top += HEAD
        largest = max(bar.value for bar in panel.bars) or 1
        for bar in panel.bars:
            long = max(1.0, BARS * bar.value / largest)
            colour = {"ours": OURS, "theirs": THEIRS, "bound": BOUND}[bar.kind]
            weight = "600" if bar.kind == "ours" else "400"
            out.append(text(LABELS - 8, top + 14, bar.label, 11, anchor="end", weight=weight))
            out.append(f'<rect x="{LABELS}" y="{top + 3}" width="{long:.1f}" height="{ROW - 6}" fill="{colour}"/>')
            out.append(text(LABELS + long + 6, top + 14, bar.shown, 11, weight=weight))
            top += ROW
        top += GAP
    return "\n".join(out + ["</svg>"]) + "\n"


def text(x, y, what, size, anchor="start", weight="400", fill="#0f172a") -> str:
    place = f'x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}"'
    return f"<text {place}>{escape(what)}</text>"


def panel(case, figure) -> Panel:
    """The servers of a case, best first."""
    known = [(name, entry, entry.median(figure.key)) for name, entry in case.entries.items()]
    known = [row for row in known if row[2] is not None]
    known.sort(key=lambda row: row[2], reverse=figure.more_is_better)
    bars = []
    for name, entry, value in known:
        kind = "ours" if name.startswith("carme") else "bound" if name in ("bare-hyper", "two-cores") else "theirs"
        bars.append(Bar(f"{entry.title} ({entry.shape})", value, figure.show(value), kind))
    return Panel(f"{case.title}: {figure.label}", bars)
