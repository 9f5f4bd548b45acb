"""Makes images and archives as cooper itself would not make them.

    foreign.py tar OUT ENTRY...      a tar archive, entries as they are named
    foreign.py image OUT LAYER...    an OCI image layout of tar files, its image named "latest"

ENTRY is KIND:PATH[=VALUE][@MODE[:UID:GID]]; KIND is one of f(ile), d(irectory), l(ink,
symbolic), h(ard link), c(haracter device 1:3).
"""
import hashlib
import json
import os
import re
import sys
import tarfile

KINDS = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE,
         "h": tarfile.LNKTYPE, "c": tarfile.CHRTYPE}


def entry(text):
    kind, path, value, mode, uid, gid = re.fullmatch(
        r"(.):([^=@]*)(?:=([^@]*))?(?:@(\d+)(?::(\d+):(\d+))?)?", text).groups()
    info = tarfile.TarInfo()
    info.name, info.type = path, KINDS[kind]
    info.mode = int(mode or ("755" if kind == "d" else "644"), 8)
    info.uid, info.gid, info.mtime = int(uid or 0), int(gid or 0), 1500000000
    info.devmajor, info.devminor = (1, 3) if kind == "c" else (0, 0)
    data = (value or "").encode()
    if kind in "lh":
        info.linkname, data = value, b""
    info.size = len(data)
    return info, data


def make_tar(out, texts):
    with open(out, "wb") as f:
        for text in texts:
            info, data = entry(text)
            # Not tarfile's own adding, which would change names.
            f.write(info.tobuf(tarfile.GNU_FORMAT) + data + b"\0" * (-len(data) % 512))
        f.write(b"\0" * 1024)


def blob(out, data, media):
    digest = hashlib.sha256(data).hexdigest()
    os.makedirs(os.path.join(out, "blobs", "sha256"), exist_ok=True)
    with open(os.path.join(out, "blobs", "sha256", digest), "wb") as f:
        f.write(data)
    return {"mediaType": "application/vnd.oci.image." + media, "digest": "sha256:" + digest,
            "size": len(data)}


def as_json(value):
    return json.dumps(value, sort_keys=True).encode()


def make_image(out, files):
    layers, diff_ids = [], []
    for name in files:
        with open(name, "rb") as f:
            layers.append(blob(out, f.read(), "layer.v1.tar"))
        diff_ids.append(layers[-1]["digest"])
    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
              "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = blob(out, as_json({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(out, as_json(config), "config.v1+json"), "layers": layers}),
        "manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    with open(os.path.join(out, "oci-layout"), "wb") as f:
        f.write(as_json({"imageLayoutVersion": "1.0.0"}))
    with open(os.path.join(out, "index.json"), "wb") as f:
        f.write(as_json({"schemaVersion": 2, "manifests": [manifest]}))


def main():
    if sys.argv[1] == "tar":
        make_tar(sys.argv[2], sys.argv[3:])
    elif sys.argv[1] == "image":
        make_image(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
