"""The process that reads: takes orders as JSON lines, answers after each input.

`python -m tests.fuzz.worker READER SEED NUMBER FOLDER` writes one input again, to look at.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from tests.fuzz.mutate import mutate
from tests.fuzz.readers import Reader, readers

SCRATCH = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None


def grown(base: int) -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - base


class Corpus:
    """Good files of a reader, and the folder in which one of them is damaged at a time."""

    def __init__(self, reader: Reader, seed: int, folder: Path):
        self.reader, self.seed, self.folder = reader, seed, folder
        reader.make(folder)
        self.good = {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    def damage(self, number: int) -> Path:
        """Write input `number`; the other files are good."""
        rng = random.Random(f"{self.reader.name}/{self.seed}/{number}")
        path = rng.choice(list(self.good))
        path.write_bytes(mutate(rng, self.good[path], path.name))
        return path

    def mend(self, path: Path) -> None:
        path.write_bytes(self.good[path])


def outcome(corpus: Corpus, path: Path) -> str:
    """ "" for a file that was read, "own" for an error of vtlab's, else what it was and where."""
    from vtlab.errors import VtlabError

    try:
        corpus.reader.read(corpus.folder, path)
        return ""
    except VtlabError:
        return "own"
    except Exception as error:
        steps = traceback.extract_tb(error.__traceback__)
        ours = [
            f"{Path(s.filename).name}:{s.lineno}" for s in steps if f"{os.sep}vtlab{os.sep}" in s.filename
        ]
        return f"{type(error).__name__}: {str(error)[:90]} <- {' '.join(ours[-3:])}"


def work(order: dict[str, Any], found: dict[str, Reader], say: Any) -> None:
    reader = found[order["reader"]]
    with tempfile.TemporaryDirectory(dir=SCRATCH) as name:
        corpus = Corpus(reader, order["seed"], Path(name))
        for path in list(corpus.good)[: 1 if reader.whole else None]:
            reader.read(corpus.folder, path)  # the good ones are read
        base = grown(0)
        say(begun=True)
        end = time.monotonic() + order["seconds"]
        for number in range(order["start"], order["stop"]):
            if time.monotonic() > end:
                break
            path = corpus.damage(number)
            error = outcome(corpus, path)
            say(input=number, error=error, grown=grown(base))
            if order["keep"] and error not in ("", "own"):
                folder = Path(order["keep"], reader.name)
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, folder / f"{number}-{path.name}")
            corpus.mend(path)


def main() -> None:
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes elsewhere

    def say(**answer: Any) -> None:
        out.write(json.dumps(answer) + "\n")

    warnings.simplefilter("ignore")
    found = {reader.name: reader for reader in readers() if reader.there()}
    for line in sys.stdin:
        order = json.loads(line)
        if "list" in order:
            say(names=list(found))
        else:
            work(order, found, say)
        say(end="done")


def write_again(name: str, seed: str, number: str, folder: str) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    corpus = Corpus({r.name: r for r in readers()}[name], int(seed), Path(folder))
    print(corpus.damage(int(number)))


if __name__ == "__main__":
    write_again(*sys.argv[1:]) if len(sys.argv) > 1 else main()
