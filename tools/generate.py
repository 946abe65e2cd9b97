"""Writes what is derived from the code and checked in: schemas/*.schema.json. With --check: says what is stale."""

from __future__ import annotations

import sys
from pathlib import Path

from tuneport import schemas

ROOT = Path(__file__).parent.parent


def generated() -> dict[Path, str]:
    return {ROOT / "schemas" / f"{name}.schema.json": schemas.text(name) for name in schemas.NAMES}


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
