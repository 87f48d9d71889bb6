"""Prints the bill of materials of the program, in CycloneDX 1.6: every crate that is compiled into it.

    deploy/release/sbom.py TARGET     such as x86_64-unknown-linux-gnu

What only builds or tests it is left out. It is the same for the same commit: no time and no random number is in it.
"""

import json
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cargo(*arguments):
    done = subprocess.run(["cargo", *arguments, "--locked"], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


def compiled_in(target):
    """The crates in the program as name and version, the program first, with those that each needs."""
    tree = cargo("tree", "--edges=normal,no-proc-macro", "--prefix=depth", "--format= {p}", f"--target={target}")
    needs, above = {}, []
    for line in tree.splitlines():
        depth, name, version, *_ = line.split()
        here = (name, version.removeprefix("v"))
        needs.setdefault(here, set())
        above[int(depth) :] = [here]
        if int(depth) > 0:
            needs[above[-2]].add(here)
    return needs


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums):
    told = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    }
    if package["license"]:
        # An older way to write OR.
        told["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        told["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        told["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return told


def document(target):
    packages = json.loads(cargo("metadata", "--format-version=1", f"--filter-platform={target}"))["packages"]
    packages = {(one["name"], one["version"]): one for one in packages}
    needs = compiled_in(target)
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(one["name"], one["version"]): one.get("checksum") for one in lock["package"]}
    root, *others = needs
    program = component(packages[root], checksums) | {"type": "application"}
    libraries = [component(packages[one], checksums) for one in sorted(others)]
    edges = [
        {"ref": purl(packages[one]), "dependsOn": sorted(purl(packages[other]) for other in needed)}
        for one, needed in needs.items()
    ]
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": program, "properties": [{"name": "target", "value": target}]},
        "components": libraries,
        "dependencies": sorted(edges, key=lambda edge: edge["ref"]),
    }
    name = json.dumps(bom, sort_keys=True)
    return {"serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}"} | bom


if __name__ == "__main__":
    json.dump(document(sys.argv[1]), sys.stdout, indent=1)
    print()
