"""The shape of the house, held by a test: directions, cycles, and who may import what."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("app", "pairing", "ble")
MAX_LINES = 400

SOLE_IMPORTERS = {
    "bleak": "ble.bleak_radio",
    "bumble": "ble.virtual",
    "bthome_ble": "ble.bthome",
    "zeroconf": "pairing.mdns",
    "dbus_fast": "pairing.ap.networkmanager",
    "aiosqlite": "app.store.connection",
}

# A noun may call the nouns before it, never the ones after (DESIGN 2, "Direction").
NOUNS = ("accounts", "homes", "devices", "groups", "control", "sharing", "onboarding")
# What both ends of a link speak by; pure, and so the virtual devices' too.
CODECS = ("app.links.iotda.codec", "app.links.heartbeat.codec")
FACES = (
    "app.companion",
    "app.dialects",
    "app.server",
    "app.services",
    "app.cli",
    "app.commands",
    "app.admin",
    "app.__main__",
)


def _modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING:`, which never run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _runtime_nodes(node)


def _targets(node: ast.AST, module: str, path: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        up = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
        origin = f"{up}.{node.module}" if node.level and node.module else up if node.level else node.module or ""
        for alias in node.names:
            dotted = f"{origin}.{alias.name}"
            yield dotted if dotted in MODULES else origin


@cache
def imports_of(module: str) -> frozenset[str]:
    path = MODULES[module]
    tree = ast.parse(path.read_text())
    return frozenset(target for node in _runtime_nodes(tree) for target in _targets(node, module, path))


def _inside(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def _ours(module: str) -> Iterator[str]:
    return (target for target in imports_of(module) if target.partition(".")[0] in PACKAGES)


def _noun(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "app" and parts[1] in NOUNS else None


def test_ble_imports_nothing_of_ours_and_pairing_only_ble() -> None:
    wrong = [
        f"{module} imports {target}"
        for module in MODULES
        for target in _ours(module)
        if (_inside(module, "ble") and not _inside(target, "ble"))
        or (_inside(module, "pairing") and not _inside(target, "pairing", "ble"))
    ]
    assert wrong == []


@pytest.mark.parametrize("library", SOLE_IMPORTERS)
def test_each_outside_door_has_one_keeper(library: str) -> None:
    importers = [m for m in MODULES if any(_inside(target, library) for target in imports_of(m))]
    assert [m for m in importers if not _inside(m, SOLE_IMPORTERS[library])] == []


def test_nouns_call_lower_nouns_only() -> None:
    wrong = [
        f"{module} imports {target}"
        for module in MODULES
        for target in _ours(module)
        if (noun := _noun(module)) and (other := _noun(target)) and NOUNS.index(other) > NOUNS.index(noun)
    ]
    assert wrong == []


def test_services_models_and_queries_know_no_face() -> None:
    inner = ("model", "service", "queries", "resident")
    wrong = [
        f"{module} imports {target}"
        for module in MODULES
        if _noun(module) and module.rpartition(".")[2] in inner
        for target in _ours(module)
        if _inside(target, *FACES) or target.endswith(".routes")
    ]
    assert wrong == []


def test_store_and_policy_stand_below_everything() -> None:
    allowed = ("app.store", "app.policy", "app.hours", "app.errors", "app.clock", "app.ids", "app.version")
    wrong = [
        f"{module} imports {target}"
        for module in MODULES
        if _inside(module, "app.store", "app.policy")
        for target in _ours(module)
        if not _inside(target, *allowed)
    ]
    assert wrong == []


def test_virtual_devices_import_no_service_and_no_store() -> None:
    wrong = [
        f"{module} imports {target}"
        for module in MODULES
        if _inside(module, "app.virtual")
        for target in _ours(module)
        if _inside(target, "app") and not _inside(target, "app.virtual", *CODECS, "app.devices.product")
    ]
    assert wrong == []


def _first_cycle() -> list[str]:
    state: dict[str, int] = {}
    trail: list[str] = []

    def visit(module: str) -> list[str]:
        state[module] = 1
        trail.append(module)
        for target in sorted(t for t in _ours(module) if t in MODULES and t != module):
            if state.get(target) == 1:
                return [*trail[trail.index(target) :], target]
            if target not in state and (cycle := visit(target)):
                return cycle
        trail.pop()
        state[module] = 2
        return []

    for module in MODULES:
        if module not in state and (cycle := visit(module)):
            return cycle
    return []


def test_no_import_cycles() -> None:
    assert _first_cycle() == []


def test_modules_stay_one_thing() -> None:
    long = {m: n for m, p in MODULES.items() if (n := len(p.read_text().splitlines())) > MAX_LINES}
    assert long == {}


def test_no_rooms_without_a_name() -> None:
    nameless = {"utils", "util", "helpers", "common", "base", "manager"}
    assert [m for m in MODULES if nameless & set(m.split("."))] == []
