#!/usr/bin/env python3
"""hostile_image.py DIR TAR CONFIG: an OCI layout with one layer, the archive TAR, and an image
config whose "config" member is the JSON text CONFIG ("-": standard input), taken as it is."""
import hashlib
import json
import os
import sys


def blob(data, media):
    digest = hashlib.sha256(data).hexdigest()
    with open(os.path.join(root, "blobs/sha256", digest), "wb") as f:
        f.write(data)
    return {"mediaType": media, "digest": "sha256:" + digest, "size": len(data)}


root, tar, text = sys.argv[1:]
text = sys.stdin.read() if text == "-" else text
os.makedirs(os.path.join(root, "blobs/sha256"))
with open(tar, "rb") as f:
    layer = blob(f.read(), "application/vnd.oci.image.layer.v1.tar")
config = '{"architecture":"amd64","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":["%s"]}}'
manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob((config % (text, layer["digest"])).encode(),
                           "application/vnd.oci.image.config.v1+json"), "layers": [layer]}
entry = blob(json.dumps(manifest).encode(), manifest["mediaType"])
entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
with open(os.path.join(root, "oci-layout"), "w") as f:
    f.write('{"imageLayoutVersion":"1.0.0"}')
with open(os.path.join(root, "index.json"), "w") as f:
    json.dump({"schemaVersion": 2, "manifests": [entry]}, f)
