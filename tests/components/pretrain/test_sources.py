"""Where a base may come from: each place gives the same files, or one clear line."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from components.core.execute import execute
from components.core.settings import settings
from components.pretrain.existing import Adopt
from components.pretrain.model_files import ModelFiles
from components.pretrain.sources import resolve

_spec = importlib.util.spec_from_file_location("foreign", Path(__file__).with_name("foreign.py"))
assert _spec is not None and _spec.loader is not None
foreign = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign)

ROOT = Path(__file__).parents[3]
COMMIT = "c0ffee" + "0" * 34
NAME = "somebody/otter"


@pytest.fixture
def folder(tmp_path) -> Path:
    return foreign.smol(tmp_path / "model")


def test_a_folder_is_named_by_its_content_and_says_where_it_lies(folder):
    found = resolve(str(folder))
    assert found == ModelFiles.of(folder)
    assert (found.source, found.path) == (str(folder), folder)


def test_a_content_that_the_recipe_does_not_ask_for_is_refused_with_both(folder):
    known = resolve(str(folder)).fingerprint
    assert resolve(str(folder), known).fingerprint == known
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    with pytest.raises(ValueError, match=f"the recipe asks for {known}"):
        resolve(str(folder), known)


def test_what_is_not_the_models_does_not_count(folder):
    known = resolve(str(folder)).fingerprint
    (folder / "train.py").write_text("print('never run')")
    (folder / "notes.pdf").write_bytes(b"%PDF")
    assert resolve(str(folder)).fingerprint == known


def test_an_artifact_is_found_by_its_short_path_and_proved_by_its_record(folder):
    made = execute(Adopt(), ModelFiles.of(folder)).path
    short = made.relative_to(settings().artifacts).as_posix()
    found = resolve(short)
    assert found.path == made.resolve()
    assert found.revision == f"pretrain.existing {Adopt.version} {made.name}"
    (made / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"config\.json is not the file that pretrain\.existing"):
        resolve(short)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("/nowhere/otter", "is not there: name a folder"),
        ("nobody/nothing", "is not there: name a folder"),
        ("models:/otter", "write models:/NAME@ALIAS or /VERSION"),
        ("models:/otter@champion", "is not registered here"),
        ("models:/otter/7", "is not registered here"),
        ("hf://", "is no name on a hub"),
        ("hf://../../etc", "is no name on a hub"),
        ("hf://somebody/otter", "HF_HUB_OFFLINE=1 forbids it: set HF_HUB_OFFLINE=0"),
    ],
)
def test_a_source_that_cannot_be_had_is_refused_in_one_line(source, said):
    with pytest.raises(ValueError, match=said) as refused:
        resolve(source)
    assert "\n" not in str(refused.value)


def test_a_registered_version_and_its_alias_are_the_files_that_were_registered(folder):
    from components.core.tracking.client import client, experiment_id

    mlflow = client()
    place = settings().artifacts / "release.register" / "1.0.0" / "0123456789abcdef"
    shutil.copytree(folder, place)
    model = mlflow.create_logged_model(experiment_id(mlflow), name="mallard")
    mlflow.finalize_logged_model(model.model_id, "READY")
    mlflow.create_registered_model("mallard")
    tags = {"path": place.relative_to(settings().artifacts).as_posix()}
    made = mlflow.create_model_version(
        "mallard", source=model.artifact_location, model_id=model.model_id, tags=tags
    )
    mlflow.set_registered_model_alias("mallard", "champion", made.version)
    for source in ("models:/mallard@champion", f"models:/mallard/{made.version}"):
        found = resolve(source)
        assert found.fingerprint == ModelFiles.of(folder).fingerprint
        assert (found.source, found.revision) == (source, f"version {made.version}")


class Hub(NamedTuple):
    """A stand-in for the hub on this machine."""

    address: str
    files: dict[str, bytes]
    asked: list[str]
    shown: dict[str, str]
    """sha256 of files as it states them, where it is not true."""


@pytest.fixture
def hub(folder) -> Iterator[Hub]:
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    files |= {"modeling_otter.py": b"raise SystemExit", "pytorch_model.bin": b"pickle"}
    served = Hub("", files, [], {})

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, with_body: bool) -> None:
            path = self.path.split("?")[0]
            served.asked.append(path)
            body = self._info() if path.startswith(f"/api/models/{NAME}") else None
            if "/tree/" in path:
                body = self._tree()
            name = path.removeprefix(f"/{NAME}/resolve/{COMMIT}/")
            if body is None and name in files:
                body = files[name]
            if body is None or (path.startswith("/api") and "/none" in path):
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def _info(self) -> bytes:
            siblings = [
                {"rfilename": name, "size": len(content), "blobId": "b" * 40, **self._lfs(name)}
                for name, content in files.items()
            ]
            return json.dumps({"id": NAME, "sha": COMMIT, "siblings": siblings}).encode()

        def _tree(self) -> bytes:
            rows = [
                {"type": "file", "path": name, "size": len(content), "oid": "b" * 40}
                for name, content in files.items()
            ]
            return json.dumps(rows).encode()

        def _lfs(self, name: str) -> dict[str, object]:
            if not name.endswith((".safetensors", ".bin")):
                return {}
            proof = served.shown.get(name, hashlib.sha256(files[name]).hexdigest())
            return {"lfs": {"sha256": proof, "size": len(files[name]), "pointerSize": 100}}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield served._replace(address=f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


def fetched(hub: Hub, home: Path, source: str, **environment: str) -> tuple[int, str]:
    """Resolve in a process of its own: the library reads its settings when it is imported."""
    code = (
        "import sys\nfrom components.pretrain.sources import resolve\n"
        "try:\n    found = resolve(sys.argv[1])\nexcept ValueError as error:\n"
        "    print(error)\n    sys.exit(3)\n"
        "print(found.fingerprint, found.revision, *sorted(f.name for f in found.path.iterdir()))"
    )
    own = {"HF_ENDPOINT": hub.address, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
    own |= {"PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", code, source],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr
    return done.returncode, done.stdout.strip()


def test_a_name_on_a_hub_is_pinned_to_its_commit_and_brings_no_code(hub, folder, tmp_path):
    status, said = fetched(hub, tmp_path / "hf", f"hf://{NAME}@main")
    assert status == 0, said
    fingerprint, commit, *names = said.split()
    assert (fingerprint, commit) == (ModelFiles.of(folder).fingerprint, COMMIT)
    assert set(names) == {file.name for file in folder.iterdir()}
    assert not [path for path in hub.asked if path.endswith((".py", ".bin"))]
    before = len(hub.asked)
    again = fetched(hub, tmp_path / "hf", f"hf://{NAME}@{COMMIT}", HF_HUB_OFFLINE="1")
    assert again == (0, " ".join([fingerprint, commit, *names])), "a whole commit needs no hub"
    assert len(hub.asked) == before


def test_a_hub_without_safetensors_is_refused_before_anything_is_fetched(hub, tmp_path):
    del hub.files["model.safetensors"]
    status, said = fetched(hub, tmp_path / "hf", f"hf://{NAME}")
    assert status == 3
    assert "has no safetensors, only pytorch_model.bin. Pickles can run any code" in said
    assert not [path for path in hub.asked if "resolve" in path]


def test_weights_that_are_not_what_the_hub_states_are_refused(hub, tmp_path):
    hub.shown["model.safetensors"] = "0" * 64
    status, said = fetched(hub, tmp_path / "hf", f"hf://{NAME}")
    assert status == 3
    assert "model.safetensors of hf://somebody/otter is damaged" in said


def test_a_name_that_a_hub_lacks_is_one_line(hub, tmp_path):
    status, said = fetched(hub, tmp_path / "hf", "hf://somebody/none")
    assert status == 3
    assert said.startswith("hf://somebody/none cannot be had from http://127.0.0.1")
    assert "\n" not in said


def test_a_forbidden_hub_is_said_and_not_asked(hub, tmp_path):
    status, said = fetched(hub, tmp_path / "hf", f"hf://{NAME}", HF_HUB_OFFLINE="1")
    assert status == 3
    assert "HF_HUB_OFFLINE=1 forbids it: set HF_HUB_OFFLINE=0" in said
    assert hub.asked == []
