"""Keeps the house in order: which module may know which, where a library enters, sizes, docstrings, clean text.

The tables below are the house; the tests only read them. A path stands for a module: `sim/units` is `sim/units.py`
and is imported as `backwater.units`.
"""

import ast
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
HOMES = {"sim": "backwater", "models": "backwater.models", "experiments": "backwater.experiments"}

# Lowest first. A module may import from its own floor, without going in circles, and from those below.
FLOORS = {
    "words": ["sim/errors", "sim/units", "sim/parts", "sim/pointers", "sim/jit"],
    "base": ["sim/base", "sim/rules"],
    "chance and order": ["sim/random", "sim/order"],
    "laws": ["sim/quantile", "sim/tables", "sim/parametric", "sim/distributions"],
    "components": ["sim/components/*"],
    "contents": ["sim/contents"],
    "scenario": ["sim/scenario", "sim/files", "sim/napkin", "sim/run"],
    "models": ["models/*"],
    "folds": ["sim/outcome", "sim/measure", "sim/gauges", "sim/books"],
    "engines": ["sim/engines/*"],
    "numbers": ["sim/statistics", "sim/metrics", "sim/controls", "sim/events"],
    "runs": ["sim/plots", "sim/result", "sim/simulation"],
    "records": [
        *("experiments/__init__", "experiments/store", "experiments/axes", "experiments/design", "experiments/cell"),
        *(
            "experiments/require",
            "experiments/precision",
            "experiments/concern",
            "experiments/experiment",
            "experiments/own_model",
        ),
    ],
    "studies": [
        *(f"experiments/{name}" for name in ("cluster", "sweep", "curves", "study", "recovery", "safe_load", "stress")),
        *(f"experiments/{name}" for name in ("search", "splitting", "warmup", "trials", "alarm", "plan", "compare")),
        *(f"experiments/{name}" for name in ("indices", "sensitivity", "influence", "frontier", "theory/*", "against")),
        "experiments/inline_or_queue",
        *(f"experiments/fit/{n}" for n in ("__init__", "lines", "moments", "log", "retries", "arrivals", "service")),
        *(f"experiments/fit/{n}" for n in ("buckets", "scenario", "judge", "fit")),
    ],
    "pages": [
        *("experiments/figures", "experiments/*_figures", "experiments/report*", "experiments/*_report"),
        *("experiments/document/*", "experiments/alt", "experiments/assumed", "experiments/method"),
        *("experiments/progress", "experiments/fit/plots", "experiments/fit/report"),
    ],
    "commands": ["experiments/cli*", "experiments/bench/*", "experiments/optimistic_locking"],
    "front": ["sim/__init__"],
}
# (who, what, except): closed although the floors would allow it.
CLOSED = [
    ("sim/engines/*", "models/*", ""),
    ("sim/engines/reference/*", "sim/engines/compiled/*", ""),
    ("sim/engines/compiled/*", "sim/engines/reference/*", ""),
    ("sim/outcome", "models/*", ""),
    ("sim/measure", "models/*", ""),
    ("sim/books", "models/*", ""),
    ("sim/simulation", "models/*", ""),
    ("sim/result", "models/*", ""),
    *(("sim/statistics", f"{home}/*", "") for home in HOMES),
    ("experiments/figures", "sim/engines/*", ""),
]
# A library enters only by its doors. Libraries without a line here (numpy, scipy) may be used anywhere.
DOORS = {
    "numba": ["sim/jit", "sim/parts", "sim/pointers"],
    "llvmlite": ["sim/jit", "sim/pointers"],
    "simpy": ["sim/engines/reference/*", "experiments/bench/scripts", "experiments/optimistic_locking"],
    "cimba": ["experiments/bench/cimba_models"],
    "ciw": ["experiments/bench/peers"],
    "salabim": ["experiments/bench/peers"],
    "matplotlib": [
        *("sim/plots", "sim/result", "experiments/figures", "experiments/optimistic_locking"),
        *("experiments/stress_figures", "experiments/stress_report", "experiments/plan_figures"),
        "experiments/theory_figures",
        *("experiments/compare_figures", "experiments/sensitivity_figures", "experiments/frontier_figures"),
        "experiments/inline_or_queue_figures",
        *("experiments/document/drawn", "experiments/document/pdf"),  # figures; fonts
        "experiments/fit/plots",
    ],
    "SALib": ["experiments/indices"],
    "xarray": ["experiments/sweep"],
    "pandas": ["sim/result", "experiments/*"],
    "typer": ["experiments/cli*", "experiments/progress"],
    "rich": ["experiments/cli*", "experiments/progress", "experiments/bench/__main__"],
    "jinja2": ["experiments/document/html"],
    "fpdf": ["experiments/document/pdf"],
    "distributed": ["experiments/cluster"],
    "cronsim": ["sim/components/cron"],
    "pydantic": [
        *(f"sim/{name}" for name in ("base", "units", "parametric", "distributions", "components/*")),
        *("sim/scenario", "sim/run", "experiments/experiment", "experiments/design", "experiments/own_model"),
    ],
}
DOORS["pydantic_core"] = DOORS["pydantic"]

FUNCTION_LINES, FILE_LINES, PARAMETERS = 60, 400, 8
# By decorator: a compiled rule cannot take an object, a command's parameters are its flags.
PARAMETERS_UNDER = {
    **dict.fromkeys(("compiled", "compiled_in", "kernel", "allocating", "inner", "inlined"), 16),
    "command": 16,
}

# Written so that this file does not hold what it looks for.
UNCLEAN = {
    "a path of one machine": r"(?<![\w.])(/(tmp|work|root|home|Users)/|[A-Z]:\\Users\\)",
    "the address of a package registry": r"--(extra-)?index-url|:[/]/[^\s]*/simple\b|files\.pythonhosted|"
    r"resolved\": *\"http",
}


class Import(NamedTuple):
    """One imported name: where it is written and what it says; `level` counts the dots of a relative import."""

    path: str
    line: int
    module: str
    name: str
    level: int

    def __str__(self) -> str:
        return f"{self.path}.py:{self.line}"


@cache
def sources(*folders: str) -> dict[str, ast.Module]:
    """Each module's path without suffix -> its syntax tree."""
    files = sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    return {str(file.relative_to(ROOT).with_suffix("")): ast.parse(file.read_text("utf-8")) for file in files}


def house() -> dict[str, ast.Module]:
    """The modules that are installed."""
    return sources(*HOMES)


def imports(trees: dict[str, ast.Module]) -> list[Import]:
    """Every import, also those inside functions."""
    found = []
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found += [Import(path, node.lineno, alias.name, "", 0) for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                module, level = node.module or "", node.level
                found += [Import(path, node.lineno, module, alias.name, level) for alias in node.names]
    return found


def dotted(path: str) -> str:
    """sim/components/queue -> backwater.components.queue."""
    home, _, rest = path.partition("/")
    return ".".join([HOMES[home], *rest.split("/")]).removesuffix(".__init__")


def target(item: Import) -> str:
    """The path of the module of ours that is imported, the longest that exists."""
    paths = {dotted(path): path for path in house()}
    name = f"{item.module}.{item.name}".rstrip(".")
    while name not in paths and "." in name:
        name = name.rpartition(".")[0]
    return paths.get(name, "sim/__init__")


def matches(path: str, patterns: list[str]) -> bool:
    """Whether a path is one of the patterns."""
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def floor(path: str) -> int:
    """The number of a module's floor, -1 where it has none."""
    return next((n for n, patterns in enumerate(FLOORS.values()) if matches(path, patterns)), -1)


def inner_imports() -> list[tuple[Import, str]]:
    """Imports of ours by ours, with the path of what is imported."""
    ours = [item for item in imports(house()) if not item.level and item.module.split(".")[0] == "backwater"]
    return [(item, target(item)) for item in ours]


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file, methods and inner ones too."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = function.body[0]
    told = first.end_lineno - first.lineno + 1 if ast.get_docstring(function) is not None else 0
    return function.end_lineno - function.lineno + 1 - told


def decorators(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """The last word of each decorator: njit for @njit, @njit(cache=True) and @numba.njit."""
    calls = [item.func if isinstance(item, ast.Call) else item for item in function.decorator_list]
    return {ast.unparse(call).rpartition(".")[2] for call in calls}


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many parameters a caller sees."""
    given = function.args
    names = [item.arg for item in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def undocumented(body: list[ast.stmt], classes: dict[str, ast.ClassDef], parents: list[str]) -> list[ast.stmt]:
    """Public definitions without a docstring; a method may leave it to the class that it overrides."""
    found = []
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_":
            inherited = any(told(classes.get(parent), node.name, classes) for parent in parents)
            exempt = isinstance(node, ast.FunctionDef) and decorators(node) & {"overload", "setter"}
            if not (ast.get_docstring(node) or inherited or exempt):
                found.append(node)
            if isinstance(node, ast.ClassDef):
                bases = [ast.unparse(base).partition("[")[0] for base in node.bases]
                found += undocumented(node.body, classes, bases)
    return found


def told(parent: ast.ClassDef | None, method: str, classes: dict[str, ast.ClassDef]) -> bool:
    """Whether a class of ours, or one above it, documents the method."""
    if parent is None:
        return False
    here = any(getattr(node, "name", "") == method and ast.get_docstring(node) for node in parent.body)
    return here or any(told(classes.get(ast.unparse(base)), method, classes) for base in parent.bases)


def texts() -> dict[str, str]:
    """The text files that git knows or would take up; ignored ones are nobody's business."""
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    contents = {name: (ROOT / name).read_bytes() for name in names if name and (ROOT / name).is_file()}
    return {name: data.decode("utf-8", "replace") for name, data in contents.items() if b"\0" not in data}


def none(offences: list[str], rule: str) -> None:
    """Fail with every offence on a line of its own, under the rule."""
    assert not offences, "\n  ".join([rule, *offences])


def test_every_module_has_its_floor():
    lost = [f"{path}.py" for path in house() if floor(path) < 0]
    none(lost, "Modules without a place: put each on its floor in FLOORS (tests/test_house.py)")


def test_imports_run_one_way():
    names = list(FLOORS)
    none(
        [
            f"{item} imports {to}.py: {names[floor(item.path)]} is below {names[floor(to)]}"
            for item, to in inner_imports()
            if 0 <= floor(item.path) < floor(to)
        ],
        "A module may import only from its own floor and those below (FLOORS)",
    )


def test_closed_doors_between_our_modules_stay_closed():
    none(
        [
            f"{item} imports {to}.py"
            for item, to in inner_imports()
            for who, what, other in CLOSED
            if fnmatchcase(item.path, who) and fnmatchcase(to, what) and to != other
        ],
        "These modules must not know each other (CLOSED)",
    )


def test_imports_never_go_in_circles():
    graph: dict[str, set[str]] = {}
    for item, to in inner_imports():
        graph.setdefault(item.path, set()).add(to)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        none([" <- ".join(error.args[1])], "Modules that import each other in a circle")


def test_our_modules_are_imported_by_their_full_name():
    none(
        [
            f"{item} says {'.' * item.level}{item.module or item.name}"
            for item in imports(sources(*HOMES, "tests"))
            if item.level or item.module.split(".")[0] in HOMES
        ],
        "Import ours as backwater.…, neither by folder nor relatively",
    )


def test_each_library_enters_by_its_doors():
    entries = [(item, item.module.split(".")[0]) for item in imports(house()) if not item.level]
    none(
        [
            f"{item} imports {library}, whose doors are {', '.join(DOORS[library])}"
            for item, library in entries
            if library in DOORS and not matches(item.path, DOORS[library])
        ],
        "A library used outside its doors (DOORS)",
    )


def test_only_declared_libraries_are_imported():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {re.match(r"[\w-]+", line)[0].lower().replace("-", "_") for line in project["dependencies"]}
    known = declared | set(DOORS) | set(sys.stdlib_module_names) | {"backwater", *HOMES}
    entries = [(item, item.module.split(".")[0]) for item in imports(house()) if not item.level]
    unknown = [f"{item} imports {library}" for item, library in entries if library not in known]
    none(unknown, "Not among the dependencies in pyproject.toml")


def test_every_folder_of_modules_is_packaged():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    folders = {dotted(f"{Path(path).parent.as_posix()}/__init__"): path for path in house()}
    missing = [f"{name} ({path}.py)" for name, path in folders.items() if name not in tool["packages"]]
    none(missing, "Not among tool.setuptools.packages in pyproject.toml, so a wheel would lack it")


def test_files_fit_on_a_few_screens():
    counts = {path: len((ROOT / f"{path}.py").read_text("utf-8").splitlines()) for path in sources(*HOMES, "tests")}
    none([f"{path}.py: {n}" for path, n in counts.items() if n > FILE_LINES], f"Files over {FILE_LINES} lines")


def test_functions_fit_on_one_screen():
    none(
        [
            f"{path}.py:{function.lineno} {function.name}: {length(function)}"
            for path, tree in sources(*HOMES, "tests").items()
            for function in functions(tree)
            if length(function) > FUNCTION_LINES
        ],
        f"Functions over {FUNCTION_LINES} lines, docstring not counted",
    )


def test_functions_take_few_parameters():
    offences = []
    for path, tree in house().items():
        for function in functions(tree):
            allowed = max(PARAMETERS, *(PARAMETERS_UNDER.get(word, 0) for word in (*decorators(function), "")))
            if parameters(function) > allowed:
                offences.append(f"{path}.py:{function.lineno} {function.name}: {parameters(function)} > {allowed}")
    none(offences, "Functions with too many parameters")


def test_everything_public_says_what_it_is():
    trees = house()
    classes = {node.name: node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    offences = [f"{path}.py" for path, tree in trees.items() if not ast.get_docstring(tree)]
    for path, tree in trees.items():
        offences += [f"{path}.py:{node.lineno} {node.name}" for node in undocumented(tree.body, classes, [])]
    none(offences, "Without a docstring")


def test_no_text_names_a_machine_or_a_registry():
    none(
        [
            f"{name}:{number} {what}: {line.strip()[:100]}"
            for name, text in texts().items()
            for what, pattern in UNCLEAN.items()
            for number, line in enumerate(text.splitlines(), 1)
            if re.search(pattern, line)
        ],
        "Text that is true on one machine only",
    )
