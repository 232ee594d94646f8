"""A bill of materials in CycloneDX 1.6: every locked distribution and every jar, with hashes and no address. Pure.

It says nothing that the locks do not say, and is the same whoever makes it: no time of day, no serial number by chance.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from worker.jars import Jar
from worker.supply.lock import Pin

_SPACE: Final = uuid.UUID("5b1d3a0e-6f0c-5a0e-9d0f-7261666531aa")
_MARKER: Final = "rsafe:installed-if"


def sbom(name: str, version: str, lock: Iterable[Pin], jars: Iterable[Jar]) -> str:
    """Return the bill of one image as JSON, one component to a line.

    Args:
        name: of the lock: ``cpu`` or ``gpu``.
        version: of this program.
        lock: what is installed.
        jars: what the embedded broker runs from.

    """
    root = Component(
        name="rsafe-worker",
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref=f"rsafe-worker-{name}",
        purl=PackageURL("pypi", None, "rsafe-worker", version),
        licenses=[DisjunctiveLicense(id="Apache-2.0")],
    )
    bom = Bom(components=[*map(_distribution, lock), *map(_jar, jars)])
    bom.metadata.component = root
    bom.register_dependency(root, bom.components)
    bom.serial_number = uuid.uuid5(_SPACE, f"{name} {version}")
    found = json.loads(JsonV1Dot6(bom).output_as_string())
    del found["metadata"]["timestamp"]
    # Only that everything is part of the whole is known: locks do not say what needs what.
    found["dependencies"] = [one for one in found["dependencies"] if one["ref"] == f"rsafe-worker-{name}"]
    return _lines(found)


def _distribution(pin: Pin) -> Component:
    purl = PackageURL("pypi", None, pin.name, pin.version)
    return Component(
        name=pin.name,
        version=pin.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{purl}",
        purl=purl,
        scope=ComponentScope.OPTIONAL if pin.marker else ComponentScope.REQUIRED,
        hashes=_hashes(pin.sha256),
        properties=[Property(name=_MARKER, value=pin.marker)] if pin.marker else [],
    )


def _jar(jar: Jar) -> Component:
    group, name, version = jar.coordinate.split(":")
    purl = PackageURL("maven", group, name, version)
    return Component(
        group=group,
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{purl}",
        purl=purl,
        scope=ComponentScope.OPTIONAL,
        hashes=_hashes([jar.sha256]),
        properties=[Property(name=_MARKER, value="the embedded broker is started")],
    )


def _hashes(digests: Sequence[str]) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in digests]


def _lines(found: dict[str, Any]) -> str:
    """Write JSON with a line for each component, so that a change shows as what it is."""
    components = ",\n".join(json.dumps(one, separators=(",", ":")) for one in found.pop("components"))
    rest = json.dumps(found, separators=(",", ":"), sort_keys=True)
    return f'{rest[:-1]},"components":[\n{components}\n]}}\n'
