#!/usr/bin/env python3
"""Draws docs/src/images/tails.svg from docs/tails.csv, which the balancer's simulation writes:

    cargo run -p carme-balancer --example simulate -- docs/tails.csv
    python3 docs/tails.py
"""

import csv
import math
import pathlib
from collections import defaultdict
from xml.sax.saxutils import escape

DOCS = pathlib.Path(__file__).parent
COLOURS = {
    "queue": "#0072b2", "byrequests": "#d55e00", "bytraffic": "#999999", "bybusyness": "#009e73",
    "ewma": "#cc79a7", "hash": "#e69f00",
}
LABELS = {"hash": "hash (random keys)"}
PANEL_WIDTH, PANEL_HEIGHT, LEFT, TOP, GAP, BELOW = 380, 300, 60, 40, 50, 80
SMALLEST_SHARE = 0.0005


def panel(lines, work, methods, left):
    """One diagram: the share of requests that take longer, against the response time; both logarithmic."""
    longest = max(response for points in methods.values() for _, response in points)
    decades = math.ceil(math.log10(longest))
    first = -1

    def x(response):
        return left + (math.log10(max(response, 10**first)) - first) / (decades - first) * PANEL_WIDTH

    def y(share):
        return TOP + math.log10(share) / math.log10(SMALLEST_SHARE) * PANEL_HEIGHT

    lines.append(f'<text x="{left + PANEL_WIDTH / 2}" y="{TOP - 15}" text-anchor="middle">{escape(work)}</text>')
    for decade in range(first, decades + 1):
        at = x(10**decade)
        lines.append(f'<path class="grid" d="M{at:.1f} {TOP}V{TOP + PANEL_HEIGHT}"/>')
        lines.append(f'<text x="{at:.1f}" y="{TOP + PANEL_HEIGHT + 18}" text-anchor="middle">{10**decade:g}</text>')
    for share, label in [(1, "100 %"), (0.1, "10 %"), (0.01, "1 %"), (0.001, "0.1 %")]:
        lines.append(f'<path class="grid" d="M{left} {y(share):.1f}H{left + PANEL_WIDTH}"/>')
        lines.append(f'<text x="{left - 6}" y="{y(share) + 4:.1f}" text-anchor="end">{label}</text>')
    for method, points in methods.items():
        path = "L".join(f"{x(response):.1f} {y(share):.1f}" for share, response in points)
        lines.append(f'<path class="line" stroke="{COLOURS[method]}" d="M{path}"/>')
    middle = left + PANEL_WIDTH / 2
    lines.append(f'<text x="{middle}" y="{TOP + PANEL_HEIGHT + 38}" text-anchor="middle">'
                 "response time, in mean service times</text>")


def main():
    works = defaultdict(lambda: defaultdict(list))
    with open(DOCS / "tails.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            works[row["work"]][row["method"]].append((float(row["share"]), float(row["response"])))
    width = LEFT + len(works) * (PANEL_WIDTH + GAP)
    height = TOP + PANEL_HEIGHT + BELOW
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        "<title>Share of requests that take longer, by method</title>",
        "<style>.grid{stroke:#ddd;fill:none}.line{fill:none;stroke-width:2}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, (work, methods) in enumerate(works.items()):
        panel(lines, work, methods, LEFT + number * (PANEL_WIDTH + GAP))
    at = LEFT
    for method, colour in COLOURS.items():
        lines.append(f'<path class="line" stroke="{colour}" d="M{at} {height - 14}h20"/>')
        label = LABELS.get(method, method)
        lines.append(f'<text x="{at + 25}" y="{height - 10}">{label}</text>')
        at += 55 + 7 * len(label)
    lines.append("</svg>")
    target = DOCS / "src" / "images" / "tails.svg"
    target.parent.mkdir(exist_ok=True)
    target.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
