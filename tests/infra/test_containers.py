"""Containers: what cannot be run here holds to its schema, and names only what the code has."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from components.core.settings import Settings

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
MANIFESTS = sorted((INFRA / "kubernetes").glob("*.yaml"))
PORTS = {Settings().prefect_port, Settings().mlflow_port, Settings().dashboard_port}


def compose() -> dict[str, Any]:
    return yaml.safe_load((INFRA / "compose.yaml").read_text("utf-8"))


def manifests(kind: str) -> list[dict[str, Any]]:
    found = [doc for file in MANIFESTS for doc in yaml.safe_load_all(file.read_text("utf-8"))]
    return [doc for doc in found if doc["kind"] == kind]


def pods_of_ray() -> list[dict[str, Any]]:
    [cluster] = manifests("RayCluster")
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    return [group["template"] for group in groups]


def test_the_compose_file_holds_to_the_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, INFRA / "compose.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["Deployment", "NetworkPolicy", "Service", "Namespace"])
def test_the_manifests_hold_to_kubernetes_own_schemas(kind: str) -> None:
    for document in manifests(kind):
        kubernetes_validate.validate(document, "1.37", strict=True)


def test_the_pods_of_ray_hold_to_kubernetes_own_schemas() -> None:
    for template in pods_of_ray():
        head = {"apiVersion": "v1", "kind": "Pod"}
        kubernetes_validate.validate({**head, **template}, "1.37", strict=True)


def test_every_manifest_is_applied() -> None:
    [listed] = manifests("Kustomization")
    others = {file.name for file in MANIFESTS} - {"kustomization.yaml"}
    assert set(listed["resources"]) == others


def test_every_variable_that_is_named_is_a_setting() -> None:
    known = {f"BLOOMERY_{name.upper()}" for name in Settings.model_fields}
    files = [*MANIFESTS, INFRA / "compose.yaml", INFRA / "Dockerfile", INFRA / "growing.md"]
    for file in [*files, INFRA / "start.sh"]:
        named = set(re.findall(r"BLOOMERY_[A-Z_]+", file.read_text("utf-8")))
        assert named <= known, file


def test_ports_volumes_and_secrets_agree() -> None:
    stack = compose()
    published = stack["services"]["bloomery"]["ports"]
    assert published == [f"127.0.0.1:{port}:{port}" for port in sorted(PORTS)]
    for service in stack["services"].values():
        named = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert named <= set(stack["volumes"])
    [deployment] = manifests("Deployment")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert {port["containerPort"] for port in container["ports"]} == PORTS
    [claim] = manifests("PersistentVolumeClaim")
    for pod in [deployment["spec"]["template"], *pods_of_ray()]:
        claims = [volume.get("persistentVolumeClaim") for volume in pod["spec"]["volumes"]]
        assert {"claimName": claim["metadata"]["name"]} in claims
        assert pod["metadata"]["labels"]["app.kubernetes.io/part-of"] == "bloomery"
    [cluster] = manifests("RayCluster")
    [token] = [each for each in container["env"] if each["name"] == "RAY_AUTH_TOKEN"]
    secret = token["valueFrom"]["secretKeyRef"]
    assert secret == {"name": cluster["spec"]["authOptions"]["secretName"], "key": "auth_token"}
    address = {"name": "BLOOMERY_RAY_ADDRESS", "value": "ray-head-svc:6379"}  # KubeRay's name
    assert address in container["env"]
    assert cluster["metadata"]["name"] == "ray"


def test_no_secret_is_written_down() -> None:
    for name, service in compose()["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search("AUTH$|TOKEN$|SECRET|PASSWORD", variable):
                assert value.startswith("${"), (name, variable)
    assert manifests("Secret") == []


def test_the_image_is_made_of_what_there_is() -> None:
    lines = (INFRA / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    kept = [line[1:] for line in lines if line.startswith("!")]
    assert all((ROOT / name).exists() for name in kept)
    copied = {"pyproject.toml", "constraints.txt", "components", "flows", "infra", "dashboards"}
    assert copied | {"data.dvc", "README.md", "LICENSE"} <= set(kept)


def test_a_container_starts_with_the_project_of_its_image_and_keeps_another(
    tmp_path: Path,
) -> None:
    (tmp_path / "bloomery").write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    (tmp_path / "bloomery").chmod(0o755)
    project = tmp_path / "state" / "project"
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    given = {**os.environ, "PATH": path, "BLOOMERY_PROJECT": str(project)}
    for pin in ((ROOT / "data.dvc").read_text("utf-8"), "another revision"):
        done = subprocess.run(
            ["sh", "infra/start.sh"], cwd=ROOT, env=given, capture_output=True, check=True
        )
        assert done.stdout.split() == [b"up"]
        assert (project / ".dvc" / "config").is_file()
        assert (project / "data.dvc").read_text("utf-8") == pin
        (project / "data.dvc").write_text("another revision", encoding="utf-8")
