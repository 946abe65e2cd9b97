"""Writes what is derived from the code and checked in: schemas/*.schema.json and docs/matrix.md.

With --check it says what is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tuneport import schemas
from tuneport.backends import registry
from tuneport.translation import matrix

ROOT = Path(__file__).parent.parent


BACKENDS = ("local", "vertex", "sagemaker", "modelarts")
MATRIX = """# What each backend can do

Made from the capability tables of the backends (`tools/generate.py`). *yes*: it means there what it means here.
*emulated*: something of ours does it. *dropped*: left out, and results do not depend on it. *about*: something similar
is done, and results may differ. *no*: the job has to be changed.

What is said of parameters, objectives, algorithms, early stopping and limits is what a cloud's own tuner does: with
`--drive` our search does that, as on `local` ([clouds.md](clouds.md)).

"""


def generated() -> dict[Path, str]:
    tables = {name: registry.load(name).capabilities for name in BACKENDS}
    return {
        **{ROOT / "schemas" / f"{name}.schema.json": schemas.text(name) for name in schemas.NAMES},
        ROOT / "docs" / "matrix.md": MATRIX + matrix.markdown(tables),
    }


def stale() -> list[Path]:
    return [
        path for path, text in generated().items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        for path in stale():
            print(f"stale: {path.relative_to(ROOT)}; run python tools/generate.py", file=sys.stderr)
        return 1 if stale() else 0
    for path, text in generated().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
