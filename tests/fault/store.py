"""Checks a store from outside, with nothing of cooper's: what is visible in it is whole.

    store.py ROOT       checks all; prints what was found, or what is wrong with exit code 1
    store.py ROOT list  prints refs, blobs, layers and ingests, one a line, for comparing

Standard library only. Layouts: cas/store.h, cas/layer_dir.h; the OCI image specification.
"""
import gzip
import hashlib
import io
import json
import os
import sqlite3
import stat
import subprocess
import sys
import tarfile

REF_NAME = "org.opencontainers.image.ref.name"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Damage(Exception):
    """Something in the store is not as it must be."""


def need(condition, *what):
    if not condition:
        raise Damage(" ".join(str(w) for w in what))


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def decompressed(data):
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE,
                              check=True).stdout
    return data


class Store:
    """A store, and what was found good in it: things that were checked once and did not
    change since (by inode and times) are checked again only after forget()."""

    def __init__(self, root):
        self.root = root
        self.forget()

    def forget(self):
        self.good_blobs = {}
        self.diff_ids = {}
        self.good_layers = {}

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    # --- Blobs ---

    def blob_path(self, digest):
        algorithm, _, text = digest.partition(":")
        return self.path("blobs", algorithm, text)

    def blob(self, digest):
        with open(self.blob_path(digest), "rb") as f:
            return f.read()

    def check_blob(self, digest):
        st = os.stat(self.blob_path(digest))
        key = (st.st_ino, st.st_mtime_ns, st.st_size)
        if self.good_blobs.get(digest) == key:
            return
        need(sha256(self.blob(digest)) == digest, "blob", digest, "has other bytes")
        self.good_blobs[digest] = key

    def check_blobs(self):
        names = os.listdir(self.path("blobs", "sha256"))
        for name in names:
            self.check_blob("sha256:" + name)
        return len(names)

    def diff_id(self, digest):
        if digest not in self.diff_ids:
            self.diff_ids[digest] = sha256(decompressed(self.blob(digest)))
        return self.diff_ids[digest]

    # --- Refs ---

    def refs_of_index(self):
        with open(self.path("index.json"), "rb") as f:
            index = json.load(f)
        return {m["annotations"][REF_NAME]: m for m in index["manifests"]}

    def database(self):
        """Read as after a crash: what is in the write-ahead log counts."""
        db = sqlite3.connect(self.path("meta.db"))
        need(db.execute("PRAGMA integrity_check").fetchall() == [("ok",)],
             "meta.db fails its integrity check")
        return db

    def refs_of_database(self):
        db = self.database()
        try:
            return {name: json.loads(target)
                    for name, target in db.execute("SELECT name, target FROM ref")}
        finally:
            db.close()

    def check_present(self, d, why):
        path = self.blob_path(d["digest"])
        need(os.path.isfile(path), why, "needs blob", d["digest"], "which is absent")
        need(os.path.getsize(path) == d["size"], why, "blob", d["digest"], "has another size")
        self.check_blob(d["digest"])

    def check_image(self, d, why):
        self.check_present(d, why)
        manifest = json.loads(self.blob(d["digest"]))
        need(manifest["schemaVersion"] == 2, why, "schemaVersion")
        if "manifests" in manifest:
            for m in manifest["manifests"]:
                self.check_image(m, why)
            return
        self.check_present(manifest["config"], why)
        for layer in manifest["layers"]:
            self.check_present(layer, why)
        config = json.loads(self.blob(manifest["config"]["digest"]))
        if "rootfs" in config:
            need([self.diff_id(la["digest"]) for la in manifest["layers"]] ==
                 config["rootfs"]["diff_ids"], why, "layers are not those of the config")

    # --- Records ---

    def check_records(self):
        """A record may outlive its blob; what is there must be what the record says."""
        db = self.database()
        try:
            layers = db.execute("SELECT diff_id, blob, size FROM layer").fetchall()
            for value, in db.execute("SELECT value FROM cache"):
                need(isinstance(json.loads(value), dict), "a cache record is no object")
        finally:
            db.close()
        diff_ids = {}
        for diff_id, blob, size in layers:
            # The first byte is the algorithm's number.
            need(diff_id[0] == 1 and blob[0] == 1, "a layer record's digests")
            diff_id, blob = "sha256:" + diff_id[1:].hex(), "sha256:" + blob[1:].hex()
            if os.path.exists(self.blob_path(blob)):
                need(os.path.getsize(self.blob_path(blob)) == size, "layer record's size", blob)
                need(self.diff_id(blob) == diff_id, "layer record", diff_id, "is not", blob)
                diff_ids[diff_id] = blob
        return diff_ids

    # --- Unpacked layers ---

    def check_layers(self, blobs):
        """Those of this boot hold what their blob holds; others are not believed anyway."""
        with open("/proc/sys/kernel/random/boot_id") as f:
            boot = f.read().strip()
        for name in os.listdir(self.path("layers")):
            try:
                with open(self.path("layers", name, "meta")) as f:
                    lines = f.read().splitlines()
            except FileNotFoundError:
                lines = []
            if lines[:2] != ["cooper-layer 1", "boot " + boot]:
                continue
            form, algorithm, text = name.split("-")[:3]
            blob = blobs.get(algorithm + ":" + text)
            if form == "d" and blob:
                self.check_layer(self.path("layers", name, "fs"), blob)

    def check_layer(self, top, blob):
        inode = os.stat(top).st_ino
        if self.good_layers.get(top) == inode:
            return
        expected = {}
        with tarfile.open(fileobj=io.BytesIO(decompressed(self.blob(blob)))) as tar:
            for m in tar:
                if m.isreg():
                    expected[os.path.normpath(m.name)] = sha256(tar.extractfile(m).read())
        found = {}
        for directory, _, names in os.walk(top):
            for name in names:
                path = os.path.join(directory, name)
                relative = os.path.relpath(path, top)
                st = os.lstat(path)
                if stat.S_ISCHR(st.st_mode) and st.st_rdev == 0:
                    whiteout = os.path.join(os.path.dirname(relative),
                                            ".wh." + os.path.basename(relative))
                    found[whiteout] = sha256(b"")
                elif stat.S_ISREG(st.st_mode) and (st.st_nlink == 1 or relative in expected):
                    with open(path, "rb") as f:
                        found[relative] = sha256(f.read())
        expected = {k: v for k, v in expected.items() if not k.endswith(".wh..wh..opq")}
        need(found == expected, top, "does not hold what its blob holds:",
             sorted(set(found.items()) ^ set(expected.items()))[:4])
        self.good_layers[top] = inode

    # --- All ---

    def made(self):
        """Whether the store exists already, as far as others may see."""
        return os.path.exists(self.path("oci-layout"))

    def check(self):
        """What holds at any moment, also before cooper has looked after a crash."""
        if not self.made():
            return {}
        refs = self.refs_of_database()
        if os.path.exists(self.path("index.json")):
            for name, d in self.refs_of_index().items():
                self.check_image(d, "index.json: " + name)
        for name, d in refs.items():
            self.check_image(d, "ref " + name)
        self.check_blobs()
        self.check_layers(self.check_records())
        return refs

    def check_at_rest(self):
        """What holds besides when a command of cooper's ended in order."""
        refs = self.check()
        need(self.refs_of_index().keys() == refs.keys(), "index.json lists other refs")
        for name, d in self.refs_of_index().items():
            need(d["digest"] == refs[name]["digest"], "index.json: another", name)
        for directory in ("ingest", "leases"):
            left = [n for n in os.listdir(self.path(directory)) if not n.startswith(".")]
            need(not left, directory + "/ holds", left)
        return refs

    def list(self):
        for name, d in sorted(self.refs_of_database().items()):
            yield "ref %s %s" % (name, d["digest"])
        for directory in ("blobs/sha256", "layers", "ingest", "mounts"):
            for name in sorted(os.listdir(self.path(directory))):
                yield directory + "/" + name


def main():
    store = Store(sys.argv[1])
    if sys.argv[2:] == ["list"]:
        print("\n".join(store.list()))
        return
    try:
        refs = store.check_at_rest()
    except Damage as e:
        sys.exit("store %s: %s" % (sys.argv[1], e))
    print("%d refs whole" % len(refs))


if __name__ == "__main__":
    main()
