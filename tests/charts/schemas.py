"""JSON schemas of Kubernetes' objects, strict: a field that there is not is an error."""

import functools
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.charts.helm import Object

ALL = files("kubernetes_validate") / "kubernetes-json-schema"
OLDEST = (1, 31)
CUSTOM: dict[str, Any] = json.loads(Path(__file__).with_name("custom_resources.json").read_text())


def versions() -> list[str]:
    """Those from OLDEST to the newest that there are schemas of: `1.31.0` …"""
    names = {path.name.removeprefix("v").split("-")[0] for path in ALL.iterdir()}
    found = sorted(tuple(map(int, name.split("."))) for name in names)
    return [".".join(map(str, version)) for version in found if version >= OLDEST]


def problems(thing: Object, version: str) -> list[str]:
    """What is wrong with an object, as `spec.template: …`."""
    validator = _validator(thing["apiVersion"], thing["kind"], version)
    return [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"
        for error in validator.iter_errors(thing)
    ]


@functools.cache
def _validator(api_version: str, kind: str, version: str) -> Draft202012Validator:
    if f"{api_version}/{kind}" in CUSTOM:
        return Draft202012Validator({**CUSTOM[f"{api_version}/{kind}"], "$defs": CUSTOM["$defs"]})
    group, _, number = api_version.rpartition("/")
    name = "-".join(filter(None, (kind.lower(), group.split(".")[0], number)))
    schema = json.loads(_folder(version).joinpath(f"{name}.json").read_text())
    return Draft202012Validator(schema, registry=_definitions(version))


@functools.cache
def _definitions(version: str) -> Registry[Any]:
    text = _folder(version).joinpath("_definitions.json").read_text()
    resource = Resource.from_contents(json.loads(text), default_specification=DRAFT202012)
    return Registry().with_resource(resource.id() or "_definitions.json", resource)


def _folder(version: str) -> Any:
    return ALL / f"v{version}-local-strict"
