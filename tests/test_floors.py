"""Modules import lower floors only, methods do not import one another, and one package imports cupy."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gpumc"

#: The packages and modules from the bottom (docs/architecture.md): methods import lower floors, not one another.
FLOORS: list[set[str]] = [
    {"errors", "_version"},
    {"checks", "reading", "schema"},
    {"named"},
    {"device"},
    {"activations", "readouts", "weights"},
    {"machines", "ramps", "losses", "patterns", "measures", "grid", "state", "parts", "keeping", "entropy_problems"},
    {"launch", "data", "inputs"},
    {"observables"},
    {"channels"},
    {"sampling", "exact", "messages", "theory"},
    {"volumes", "learning"},
    {"flatness"},
    {"results"},
    {"sweeps", "bench"},
    {"__init__", "__main__", "cli"},
]
PARTS = set().union(*FLOORS)
#: Descriptions know one another's types, and the faces each other.
OPEN = (FLOORS[5], FLOORS[-1])


def part_of(path: Path) -> str:
    """The package or module a file belongs to: the first name below gpumc."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_no_two_modules_have_one_name():
    names = [path.name for path in PACKAGE.rglob("*.py") if path.name not in ("__init__.py", "__main__.py")]
    assert sorted(names) == sorted(set(names))


def floor_of(part: str) -> int:
    return next(number for number, parts in enumerate(FLOORS) if part in parts)


def imports(path: Path) -> list[str]:
    """Every absolute module or name that a file imports, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    own = part_of(path)
    assert own in PARTS, f"{own} has no floor"
    for name in imports(path):
        package, _, rest = name.partition(".")
        assert own == "device" or package not in ("cupy", "cupyx", "cupy_backends"), f"{own} imports {name}"
        part = rest.partition(".")[0]
        if package != "gpumc" or part == own or part not in PARTS:
            continue  # names that are no part come from gpumc/__init__.py
        beside = FLOORS[floor_of(own)] in OPEN and floor_of(part) == floor_of(own)
        assert floor_of(part) < floor_of(own) or beside, f"{own} imports {name}"


def test_only_the_faces_import_from_the_top():
    for path in MODULES:
        names = [name.partition(".")[2] for name in imports(path) if name.startswith("gpumc.")]
        public = [name for name in names if name.partition(".")[0] not in PARTS]
        top = public or "gpumc" in imports(path)
        assert floor_of(part_of(path)) == len(FLOORS) - 1 or not top, f"{path.name} imports {public or 'gpumc'}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_are_short(path):
    assert len(path.read_text().splitlines()) < 400


def test_analysis_uses_public_names_only():
    for path in (ROOT / "analysis").glob("*.py"):
        private = [name for name in imports(path) if name.startswith("gpumc.") and "._" in name]
        assert not private, f"{path.name} imports {private}"
