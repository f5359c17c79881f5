"""What a run found: per case and server one sample a round, medians, and ratios of the same round.

Ratios are taken within a round, since the machine's noise is larger than most differences and hits neighbours alike.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field


@dataclass
class Entry:
    """One server in one case. `samples`: round to figures; `skipped` and `failures` say why some are not there."""

    title: str
    shape: str
    samples: dict = field(default_factory=dict)
    skipped: str = ""
    failures: list = field(default_factory=list)

    def median(self, key):
        values = [sample[key] for sample in self.samples.values() if sample.get(key) is not None]
        return statistics.median(values) if values else None


@dataclass
class CaseResult:
    title: str
    figures: list
    entries: dict = field(default_factory=dict)
    #: Simulated or computed bounds that belong beside the servers: text to figures.
    bounds: dict = field(default_factory=dict)

    def ratio(self, key, ours, theirs):
        """Median over the rounds of ours / theirs; None without a common round."""
        a, b = self.entries.get(ours), self.entries.get(theirs)
        if a is None or b is None:
            return None
        quotients = [
            a.samples[number][key] / b.samples[number][key]
            for number in a.samples
            if number in b.samples and a.samples[number].get(key) is not None and b.samples[number].get(key)
        ]
        return statistics.median(quotients) if quotients else None

    def best(self, figure, names):
        """The one of `names` with the best median."""
        known = {name: self.entries[name].median(figure.key) for name in names if name in self.entries}
        known = {name: value for name, value in known.items() if value is not None}
        if not known:
            return None
        wanted = figure.best(known.values())
        return next(name for name, value in known.items() if value == wanted)

    def as_json(self) -> dict:
        servers = {}
        for name, entry in self.entries.items():
            servers[name] = {"title": entry.title, "shape": entry.shape}
            if entry.skipped:
                servers[name]["skipped"] = entry.skipped
                continue
            servers[name]["median"] = {figure.key: entry.median(figure.key) for figure in self.figures}
            servers[name]["rounds"] = [{"round": number, **sample} for number, sample in sorted(entry.samples.items())]
            if entry.failures:
                servers[name]["failures"] = entry.failures
        return {"title": self.title, "servers": servers, "bounds": self.bounds}
