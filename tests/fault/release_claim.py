#!/usr/bin/env python3
"""Upholds a claim and ends, as a run that is killed: release_claim.py HOST REPOSITORY CLAIM DIGEST

Python 3.11, standard library only.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from refer import MANIFEST, Repository  # noqa: E402


def main():
    host, name, claim, digest = sys.argv[1:]
    repository = Repository(host, name)
    empty = repository.blob("application/vnd.oci.empty.v1+json", b"{}")
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "artifactType": "application/vnd.cooper.release.claim.v1+json",
        "config": empty, "layers": [empty],
        "annotations": {"vnd.cooper.claim.digest": digest}}).encode()
    repository.manifest(claim + ".1", MANIFEST, manifest)
    repository.manifest(claim + ".2", MANIFEST, manifest)


if __name__ == "__main__":
    main()
