"""The documentation of Python's standard library: a second domain, technical prose.

The docstrings are taken from the sources with `ast`, so nothing is imported. `MODULES` names only
modules whose docstrings are the same in every Python 3.11: the documents were compared between
3.11.2 as Debian ships it and 3.11.7 from python.org, and modules that security releases touch
(email, http, urllib, tarfile, os.path, ...) are left out.
"""

import ast
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from components.data.document import Document

MODULES = (
    "__future__",
    "_collections_abc",
    "_py_abc",
    "_pydecimal",
    "_pyio",
    "_strptime",
    "_threading_local",
    "aifc",
    "argparse",
    "ast",
    "asynchat",
    "asyncio.base_futures",
    "asyncio.exceptions",
    "asyncio.futures",
    "asyncio.protocols",
    "asyncio.queues",
    "asyncio.runners",
    "asyncio.threads",
    "asyncio.trsock",
    "asyncore",
    "bdb",
    "bisect",
    "bz2",
    "cProfile",
    "chunk",
    "cmd",
    "code",
    "codecs",
    "codeop",
    "colorsys",
    "compileall",
    "concurrent.futures._base",
    "concurrent.futures.process",
    "contextlib",
    "copy",
    "copyreg",
    "dbm",
    "dbm.dumb",
    "difflib",
    "dis",
    "filecmp",
    "fnmatch",
    "fractions",
    "getopt",
    "gettext",
    "glob",
    "graphlib",
    "gzip",
    "heapq",
    "hmac",
    "imghdr",
    "imp",
    "importlib",
    "importlib._abc",
    "importlib.abc",
    "importlib.resources._adapters",
    "importlib.resources._common",
    "importlib.resources._legacy",
    "importlib.resources.abc",
    "importlib.resources.readers",
    "importlib.resources.simple",
    "importlib.util",
    "inspect",
    "io",
    "json",
    "json.decoder",
    "json.tool",
    "keyword",
    "linecache",
    "locale",
    "lzma",
    "modulefinder",
    "multiprocessing.context",
    "multiprocessing.managers",
    "multiprocessing.pool",
    "multiprocessing.process",
    "multiprocessing.reduction",
    "multiprocessing.sharedctypes",
    "multiprocessing.spawn",
    "multiprocessing.util",
    "numbers",
    "operator",
    "optparse",
    "pickle",
    "pickletools",
    "pipes",
    "pprint",
    "profile",
    "pstats",
    "py_compile",
    "pyclbr",
    "queue",
    "quopri",
    "random",
    "re",
    "re._constants",
    "rlcompleter",
    "sched",
    "selectors",
    "shelve",
    "shlex",
    "smtpd",
    "sndhdr",
    "socketserver",
    "stat",
    "string",
    "sunau",
    "symtable",
    "tabnanny",
    "telnetlib",
    "textwrap",
    "threading",
    "tokenize",
    "tomllib._parser",
    "tomllib._re",
    "trace",
    "tracemalloc",
    "types",
    "unittest",
    "unittest.async_case",
    "unittest.case",
    "unittest.loader",
    "unittest.mock",
    "unittest.result",
    "unittest.runner",
    "unittest.suite",
    "unittest.util",
    "uu",
    "warnings",
    "wave",
    "weakref",
    "xdrlib",
    "zoneinfo._tzpath",
)

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documents() -> Iterator[Document]:
    """Yield one document a module: its docstrings, each below the name and signature it describes.

    Raises ValueError if this is not Python 3.11 or its library has no sources.
    """
    if sys.version_info[:2] != (3, 11):
        raise ValueError(
            f"Python {sys.version.split()[0]} documents its library in other words than 3.11, "
            "which data.dvc pins: use Python 3.11, or restore data/ from a DVC remote"
        )
    for module in MODULES:
        source = _source_of(module, Path(sysconfig.get_path("stdlib")))
        yield Document(
            id=f"library/{module}",
            text="\n\n".join(_entries(module, ast.parse(source.read_bytes()))) + "\n",
            metadata={"module": module},
        )


def _source_of(module: str, stdlib: Path) -> Path:
    path = stdlib.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    raise ValueError(
        f"{module}: no source in {stdlib}: install the whole standard library of Python 3.11"
    )


def _entries(name: str, node: ast.AST) -> Iterator[str]:
    """Yield heading and docstring of `node` and of the public definitions in it, in order."""
    if isinstance(node, _Documented) and (text := ast.get_docstring(node)):
        yield f"{_heading(name, node)}\n\n{text}"
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return  # what is defined in a function is not public
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _entries(name, child) if isinstance(child, ast.If | ast.Try) else ()
        elif not child.name.startswith("_"):
            yield from _entries(f"{name}.{child.name}", child)


def _heading(name: str, node: _Documented) -> str:
    if isinstance(node, ast.Module):
        return f"module {name}"
    if isinstance(node, ast.ClassDef):
        return f"class {name}({', '.join(map(ast.unparse, node.bases))})"
    keyword = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    return f"{keyword} {name}({ast.unparse(node.args)})"
