"""What `streamlit run dashboards/app.py` adds to the house."""

import sys
import tomllib
from importlib.machinery import PathFinder
from pathlib import Path

import dashboards

_FOLDER = Path(dashboards.__file__).parent


def test_no_file_beside_the_app_hides_a_module_that_others_import():
    """Streamlit puts the folder of the app first on `sys.path`."""
    ours = {_FOLDER, _FOLDER.parent}
    path = [entry for entry in sys.path if entry and Path(entry).resolve() not in ours]
    names = [file.stem for file in _FOLDER.glob("*.py") if file.stem != "__init__"]
    hidden = [
        name
        for name in names
        if name in sys.stdlib_module_names
        or ((found := PathFinder.find_spec(name, path)) is not None and found.origin is not None)
    ]
    assert hidden == []


def test_the_app_listens_on_this_machine_alone_and_tells_nobody_unless_told_to():
    config = tomllib.loads((_FOLDER / ".streamlit" / "config.toml").read_text("utf-8"))
    assert config["server"]["address"] == "127.0.0.1"
    assert config["browser"]["gatherUsageStats"] is False
    assert config["client"]["showErrorDetails"] == "none"
