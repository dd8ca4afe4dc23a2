"""The Python packages of this installation as a CycloneDX document (JSON), for the images.

    python scripts/sbom.py > sbom.cdx.json

From the packages' own metadata, with the standard library alone: a tool for it would bring some twenty packages into
every image, and would list itself. Equal installations give equal documents.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from importlib import metadata
from typing import Any


def document() -> dict[str, Any]:
    """CycloneDX 1.5: each package once, with its version, licence and package URL (purl)."""
    found = {component["purl"]: component for component in map(_component, metadata.distributions())}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "name": "gpuprof", "version": metadata.version("gpuprof-dl")}
        },
        "components": [found[purl] for purl in sorted(found)],
    }


def _component(distribution: metadata.Distribution) -> dict[str, Any]:
    about = distribution.metadata
    name = re.sub(r"[-_.]+", "-", about["Name"]).lower()
    component = {
        "type": "library",
        "name": name,
        "version": distribution.version,
        "purl": f"pkg:pypi/{name}@{distribution.version}",
    }
    # An SPDX expression where the package gives one; a name is all that older packages have.
    if "License-Expression" in about:
        return component | {"licenses": [{"expression": about["License-Expression"]}]}
    names = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    return component | ({"licenses": [{"license": {"name": licence}} for licence in names]} if names else {})


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    json.dump(document(), sys.stdout, indent=1)
    print()
