"""What happens in a storm: writers at work, a server that fails, kills. All drawn from a seed.

The writers know what they have written, never what became of it. Files that others of them name
(an image of a feature value, the target of a link) are written once and stay.
"""

import csv
import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SUBJECTS = ("1-S001", "1-S002", "1-S003")
SUBJECT_ROWS = "table/demo/Subject/Subject.csv"  # their key is Name
VISIT_ROWS = "table/demo/Observation/Observation.csv"  # they have none
MANIFEST = "asset-manifest.json"
QUALITY = "feature/demo/Image/Quality/Quality.jsonl"
TYPES = "asset-type/demo/Image.jsonl"
CHUNK_BYTES = 20_000
STRUCK = 0.1  # of all requests
SHARED_CONTENTS = 4  # several files have the same
MOVES_ON = 0.15  # of all acts; the others stay with their execution


def faults(rng: random.Random):
    """Return the rules of one life of the server: every action, a tenth of all calls together.

    The second request is struck in any case.
    """
    kinds = [
        {"action": "status", "status": 503},
        {"action": "status", "status": 500},
        {"action": "status", "status": 429, "retry_after_s": 1},
        {"action": "reset_before"},
        {"action": "reset_after"},
        {"action": "truncate"},
        {"action": "stall", "stall_s": 0.3},
        {"action": "slow", "bytes_per_s": 100_000},
        {"action": "expire", "renew_after_s": 0.2, "times": 2},
    ]
    shares = [rng.random() for _ in kinds]
    scale = STRUCK / sum(shares)
    return [{"action": "reset_after", "nth": 2}] + [
        kind | {"probability": share * scale, "seed": rng.randrange(1 << 32)}
        for kind, share in zip(kinds, shares, strict=True)
    ]


@dataclass
class Writers:
    """Programs that write below *prefix*, into executions with the given *rids*.

    Attributes:
        diary: What was done, a line for each act.
    """

    prefix: Path
    rids: list[str]
    rng: random.Random
    diary: list[str] = field(default_factory=list)
    _files: dict[str, list[str]] = field(default_factory=dict)  # those that may change, by RID
    _tables: dict[tuple[str, str], str] = field(default_factory=dict)  # by RID and path
    _held: list = field(default_factory=list)  # files that are open for writing
    _at: str = ""  # the execution that is being written to
    _number: int = 0

    def __post_init__(self):
        self._contents = [self.rng.randbytes(200) for _ in range(SHARED_CONTENTS)]
        self.root("").mkdir(parents=True)
        for name in ("incoming", "shared", "away"):
            (self.prefix / name).mkdir()
        self.begin()

    def root(self, rid):
        """Return the directory of an execution."""
        return self.prefix / "deriva-ml" / "execution" / rid

    def act(self):
        """Do one thing."""
        acts = {
            self.write: 6,
            self.rename: 4,
            self.append: 4,
            self.rewrite: 4,
            self.hardlink: 2,
            self.symlink: 2,
            self.delete: 3,
            self.rows: 3,
            self.feature: 2,
            self.manifest: 3,
            self.large: 3,
            self.begin: 3,
            self.vanish: 1,
            self.close: 4,
        }
        (act,) = self.rng.choices(list(acts), list(acts.values()))
        what = act()
        if what:
            self.diary.append(f"{act.__name__} {what}")

    def finish(self):
        """Close what is open; every execution gets a last file, and so has one."""
        while self._held:
            self.close()
        for rid in self._files:
            self._put(rid, "execution-metadata/Execution_Metadata/end.txt", rid.encode())

    # ------------------------------------------------------------------ one file

    def write(self):
        """Write a new file; some are written in two goes."""
        rid, path = self._place()
        file = self.root(rid) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        stream = file.open("wb")
        stream.write(self._content())
        self._leave(stream)
        return f"{rid} {path}"

    def rename(self):
        """Write a file elsewhere and move it into place, perhaps over another."""
        known = self._some_file() if self.rng.random() < 0.4 else None
        rid, path = known or self._place()
        self._put(rid, path, self._content())
        return f"{rid} {path}"

    def append(self):
        """Make a file longer."""
        if known := self._some_file():
            stream = self._path(known).open("ab")
            stream.write(self.rng.randbytes(self.rng.randrange(1, 300)))
            self._leave(stream)
            return " ".join(known)
        return None

    def rewrite(self):
        """Make a file shorter, or write it again from its beginning."""
        if known := self._some_file():
            stream = self._path(known).open("r+b")
            stream.truncate(self.rng.choice([0, 50]))
            stream.write(self._content() if self.rng.random() < 0.7 else b"")
            self._leave(stream)
            return " ".join(known)
        return None

    def hardlink(self):
        """Give a file another name, perhaps in another execution."""
        known, (rid, path) = self._some_file(), self._place(link=True)
        if known in {None, (rid, path)}:
            return None
        target = self.root(rid) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.hardlink_to(self._path(known))
        return f"{rid} {path} = {' '.join(known)}"

    def symlink(self):
        """Link to a file that lies beside the executions."""
        rid, path = self._place(link=True)
        shared = self.prefix / "shared" / f"{self.rng.randrange(3)}.bin"
        if not shared.exists():
            shared.write_bytes(self._content())
        target = self.root(rid) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(shared)
        self._files[rid].remove(path)  # who writes to a link writes to what others link to
        return f"{rid} {path} -> {shared.name}"

    def delete(self):
        """Remove a file."""
        if known := self._some_file():
            self._path(known).unlink()
            self._files[known[0]].remove(known[1])
            return " ".join(known)
        return None

    def large(self):
        """Write a file of several chunks."""
        rid, path = self._place()
        content = self.rng.randbytes(self.rng.randrange(CHUNK_BYTES, 5 * CHUNK_BYTES))
        self._put(rid, path, content)
        return f"{rid} {path}"

    def close(self):
        """Finish a file that is open."""
        if not self._held:
            return None
        stream = self._held.pop(self.rng.randrange(len(self._held)))
        with stream:
            stream.write(self.rng.randbytes(100))
        return stream.name

    # ------------------------------------------------------------------ files that tell something

    def rows(self):
        """Append rows to a table, or write a longer one in its place.

        It begins with all that it ever had, also in a directory that begins again: other rows in
        the place of uploaded ones are refused, and rightly so.
        """
        rid, path = self._some_rid(), self.rng.choice([SUBJECT_ROWS, VISIT_ROWS])
        file = self.root(rid) / path
        lines = self._tables.get((rid, path), "")
        head = "Name\n" if path == SUBJECT_ROWS else "Subject,Observation_Date\n"
        lines = lines or head
        for _ in range(self.rng.randrange(1, 6)):
            if path == SUBJECT_ROWS:
                lines += f'"subject ""{self.rng.randrange(40)}"", drawn"\n'
            else:
                lines += f"{self.rng.choice(SUBJECTS)},{self._date()}\n"
        if path == SUBJECT_ROWS:
            names = [row["Name"] for row in csv.DictReader(lines.splitlines())]
            quoted = (name.replace('"', '""') for name in dict.fromkeys(names))
            lines = head + "".join(f'"{name}"\n' for name in quoted)
        if file.exists() and self.rng.random() < 0.5:
            with file.open("a") as stream:
                stream.write(lines[len(file.read_text()) :])
        else:
            self._put(rid, path, lines.encode())
        self._tables[rid, path] = lines
        return f"{rid} {path}"

    def feature(self):
        """Write an image, its type and a value of a feature for it."""
        rid, name = self._some_rid(), f"judged {self._next()}.png"
        image = f"asset/demo/Image/__NULL__/__NULL__/__NULL__/{self.rng.choice(SUBJECTS)}/{name}"
        self._add_line(rid, TYPES, {name: ["Image"]})
        self._put(rid, image, self.rng.randbytes(300))
        quality = self.rng.choice(["Good", "Bad"])
        self._add_line(rid, QUALITY, {"Image": image, "Image_Quality": quality})
        return f"{rid} {image}"

    def manifest(self):
        """Add a file that the manifest describes, before or after the manifest says so."""
        rid, key = self._some_rid(), f"Image/described {self._next()}.png"
        entry = {
            "asset_table": "Image",
            "schema": "demo",
            "asset_types": ["Image"],
            "metadata": {"Subject": self.rng.choice(SUBJECTS)},
            "description": None,
            "status": "pending",
            "rid": None,
            "uploaded_at": None,
            "error": None,
        }
        file, content = self.root(rid) / MANIFEST, self._content()
        document = {"version": 1, "execution_rid": rid, "assets": {}}
        if file.exists():
            document = json.loads(file.read_text())
        document["assets"][key] = entry
        steps = [
            lambda: self._put(rid, f"assets/{key}", content),
            lambda: self._put(rid, MANIFEST, json.dumps(document).encode()),
        ]
        self.rng.shuffle(steps)
        for step in steps:
            step()
        return f"{rid} {key}"

    # ------------------------------------------------------------------ directories

    def begin(self):
        """Begin an execution."""
        rid = next((rid for rid in self.rids if rid not in self._files), None)
        if rid is None:
            return None
        self._files[rid] = []
        self.root(rid).mkdir()
        return rid

    def vanish(self):
        """Move a directory away with all that is in it; its execution begins again later.

        One with feature rows stays: the images that they name would be gone, and other rows in
        their place are refused.
        """
        if len(self._files) < 2 or self._held:
            return None
        rid = self._some_rid()
        if (self.root(rid) / QUALITY).exists():
            return None
        away = self.prefix / "away" / f"{rid}-{self._next()}"
        self.root(rid).rename(away)
        del self._files[rid]
        shutil.rmtree(away)
        return rid

    # ------------------------------------------------------------------ drawing

    def _some_rid(self):
        """Stay with one execution for a while, so that the others are quiet."""
        if self._at not in self._files or self.rng.random() < MOVES_ON:
            self._at = self.rng.choice(sorted(self._files))
        return self._at

    def _place(self, *, link=False):
        """Draw where a new file lies; the same names come again."""
        rid, number = self._some_rid(), self.rng.randrange(8)
        subject = self.rng.choice(SUBJECTS)
        # Two names of one file that contradict each other are refused, and rightly so.
        name = f"{'link' if link else 'file'} {number}{subject if link else ''}.bin"
        path = self.rng.choice(
            [
                f"execution-asset/Model_File/{name}",
                f"execution-asset/Output_File/{name}",
                f"execution-metadata/Execution_Config/{name}",
                f"assets/Execution_Asset/{name}",
                f"asset/demo/Image/__NULL__/__NULL__/__NULL__/{subject}/{name}",
            ]
        )
        if path not in self._files[rid]:
            self._files[rid].append(path)
        return rid, path

    def _some_file(self):
        rid = self._some_rid()
        known = [path for path in self._files[rid] if self._path((rid, path)).is_file()]
        return (rid, self.rng.choice(known)) if known else None

    def _path(self, known):
        rid, path = known
        return self.root(rid) / path

    def _content(self):
        shared = self.rng.choice(self._contents)
        return shared if self.rng.random() < 0.4 else self.rng.randbytes(self.rng.randrange(2000))

    def _next(self):
        self._number += 1
        return self._number

    def _date(self):
        return (
            f"{1900 + self._next()}-{self.rng.randrange(1, 13):02}-{self.rng.randrange(1, 29):02}"
        )

    # ------------------------------------------------------------------ writing

    def _leave(self, stream):
        """Close a file, or keep it open for a while."""
        if self.rng.random() < 0.2:
            stream.flush()
            self._held.append(stream)
        else:
            stream.close()

    def _put(self, rid, path, content):
        """Let a whole file appear."""
        made, file = self.prefix / "incoming" / "new", self.root(rid) / path
        made.write_bytes(content)
        file.parent.mkdir(parents=True, exist_ok=True)
        made.replace(file)

    def _add_line(self, rid, path, document):
        file = self.root(rid) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as stream:
            stream.write(json.dumps(document) + "\n")


def pauses(rng: random.Random, acts: int) -> Iterator[int]:
    """Draw after how many further requests of the daemon each act follows the one before."""
    for _ in range(acts):
        yield rng.choice([0, 0, 0, 0, 1, 5, 15])
