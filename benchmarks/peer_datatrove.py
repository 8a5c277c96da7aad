"""What datatrove's filters say of passages; run by datatrove's own Python, see `benchmarks.agreement`.

    {its python} benchmarks/peer_datatrove.py passages.json decisions.json [tokens|time]

Writes, for each rule set, the reason for which each passage goes ("" where it stays) and the seconds it took; with
``tokens`` also the words its tokeniser makes of each passage.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

RULES = {
    "gopher_quality": "GopherQualityFilter",
    "gopher_repetition": "GopherRepetitionFilter",
    "c4": "C4QualityFilter",
    "fineweb": "FineWebQualityFilter",
}


def main(source: str, target: str, *asked: str) -> None:
    texts: list[str] = json.loads(Path(source).read_text("utf-8"))
    filters = importlib.import_module("datatrove.pipeline.filters")
    data = importlib.import_module("datatrove.data")
    words = importlib.import_module("datatrove.utils.text").split_into_words
    steps: dict[str, Any] = {name: getattr(filters, cls)() for name, cls in RULES.items()}
    words("Loaded before the clock starts.")
    found: dict[str, Any] = {"seconds": {}, "version": importlib.metadata.version("datatrove")}
    begin = time.process_time()
    # Its words are remembered for the last texts: all rules of one text at once is its own fastest order.
    reasons: dict[str, list[str]] = {name: [] for name in steps}
    for number, text in enumerate(texts):
        for name, step in steps.items():
            result = step.filter(data.Document(text=text, id=str(number)))
            reasons[name].append(result[1] if isinstance(result, tuple) else "" if result else "dropped")
    found["seconds"]["stack"] = time.process_time() - begin
    found["reasons"] = reasons
    if "tokens" in asked:
        found["tokens"] = [words(text) for text in texts]
    Path(target).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    import importlib.metadata

    main(*sys.argv[1:])
