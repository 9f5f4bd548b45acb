#!/usr/bin/python3
"""validate_layout.py DIR: checks an OCI image layout against the image specification (1.1).

Everything that index.json leads to is read: every index, manifest, config and layer. Size and
digest of each blob must be those of its descriptor, fields must be there, be known and have
their type, diff_ids must be the digests of the uncompressed layers, and history must tell of as
many layers as there are. Blobs that nothing leads to (the build cache's) must match their names.

Prints the number of documents checked; or what is wrong, a line each, and exits with 1.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import zlib

OCI = "application/vnd.oci."
INDEX = OCI + "image.index.v1+json"
MANIFEST = OCI + "image.manifest.v1+json"
CONFIG = OCI + "image.config.v1+json"
LAYER = OCI + "image.layer.v1.tar"

MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w!#$&^.+-]{0,126}/[A-Za-z0-9][\w!#$&^.+-]{0,126}", re.A)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
# RFC 3339, section 5.6.
TIME = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)"
                  r"(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)", re.A)
# annotations.md: how a reference in a layout may be written.
REF_NAME = re.compile(r"[A-Za-z0-9]+([-._:@/+]+[A-Za-z0-9]+)*", re.A)
PORT = re.compile(r"([1-9]\d{0,4})(/(tcp|udp|sctp))?", re.A)
# image-index.md names Go's values.
ARCHITECTURES = {"386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"}
CHUNK = 1 << 20


class Checker:
    def __init__(self, root):
        self.root = root
        self.problems = []
        self.counts = {"index": 0, "manifest": 0, "config": 0, "layer": 0}
        self.seen = set()
        self.diff_ids = {}

    def fail(self, where, what):
        self.problems.append(f"{where}: {what}")

    # --- values -----------------------------------------------------------------------------

    def fields(self, where, value, required, optional):
        """Is `value` an object with these fields, each passing its check, and no other?"""
        if not isinstance(value, dict):
            self.fail(where, "is not an object")
            return False
        for name in required:
            if name not in value:
                self.fail(where, f"{name} is missing")
        checks = {**required, **optional}
        for name, field in value.items():
            if name not in checks:
                self.fail(where, f"unknown field {name}")
            elif not checks[name](field):
                self.fail(where, f"{name}: {json.dumps(field)[:200]}")
        return all(name in value and check(value[name]) for name, check in required.items())

    # --- blobs ------------------------------------------------------------------------------

    def path(self, digest):
        algorithm, hexadecimal = digest.split(":")
        return os.path.join(self.root, "blobs", algorithm, hexadecimal)

    def blob(self, where, descriptor):
        """The path of a descriptor's blob, once size and digest are verified; or None."""
        path = self.path(descriptor["digest"])
        if not os.path.isfile(path):
            self.fail(where, f"there is no blob {descriptor['digest']}")
            return None
        if os.path.getsize(path) != descriptor["size"]:
            self.fail(where, f"size {os.path.getsize(path)}, not {descriptor['size']}")
            return None
        return path if self.digest_holds(where, path, descriptor["digest"]) else None

    def digest_holds(self, where, path, digest):
        algorithm, hexadecimal = digest.split(":")
        have = hashlib.new(algorithm)
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                have.update(chunk)
        if have.hexdigest() != hexadecimal:
            self.fail(where, f"the blob {digest} hashes to {have.hexdigest()}")
            return False
        return True

    def document(self, where, path):
        def unique(pairs):
            value = dict(pairs)
            if len(value) != len(pairs):
                self.fail(where, "a name occurs twice in one object")
            return value

        try:
            with open(path, encoding="utf-8") as file:
                return json.load(file, object_pairs_hook=unique)
        except (OSError, ValueError) as error:
            self.fail(where, f"is not JSON: {error}")
            return None

    # --- descriptors ------------------------------------------------------------------------

    def descriptor(self, where, value, allow_platform=False):
        optional = {"urls": is_list_of(is_text), "annotations": is_annotations,
                    "data": is_text, "artifactType": is_media_type}
        if allow_platform:
            optional["platform"] = lambda platform: self.platform(where, platform)
        good = self.fields(where, value, {"mediaType": is_media_type, "digest": is_digest,
                                          "size": is_size}, optional)
        if good and "data" in value:
            content = base64.b64decode(value["data"], validate=True)
            if len(content) != value["size"] or sha256(content) != value["digest"]:
                self.fail(where, "data differs from the content")
        name = value.get("annotations", {}).get("org.opencontainers.image.ref.name")
        if name is not None and not REF_NAME.fullmatch(name):
            self.fail(where, f"ref.name {name!r}")
        return good

    def platform(self, where, value):
        return self.fields(where + ": platform", value,
                           {"architecture": ARCHITECTURES.__contains__, "os": is_name},
                           {"os.version": is_name, "os.features": is_list_of(is_name),
                            "variant": is_name, "features": is_list_of(is_name)})

    def follow(self, where, descriptor):
        """Checks what a descriptor of an index leads to."""
        if descriptor["digest"] in self.seen:
            return
        self.seen.add(descriptor["digest"])
        path = self.blob(where, descriptor)
        if path is None:
            return
        kind = {INDEX: self.index, MANIFEST: self.manifest}.get(descriptor["mediaType"])
        if kind is None:
            self.fail(where, f"media type {descriptor['mediaType']}")
            return
        where = f"{'index' if kind == self.index else 'manifest'} {descriptor['digest'][:19]}"
        value = self.document(where, path)
        if value is not None:
            config = kind(where, value)
            wanted = descriptor.get("platform")
            for name in ("architecture", "os", "variant") if wanted and config else ():
                if wanted.get(name) != config.get(name):
                    self.fail(where, f"platform.{name} is not the config's")

    # --- documents --------------------------------------------------------------------------

    def index(self, where, value):
        self.counts["index"] += 1
        good = self.fields(where, value,
                           {"schemaVersion": is_two, "manifests": is_list_of(is_object)},
                           {"mediaType": INDEX.__eq__, "artifactType": is_media_type,
                            "subject": is_object, "annotations": is_annotations})
        if not good:
            return
        if "subject" in value:
            self.descriptor(where + ": subject", value["subject"])
        for number, descriptor in enumerate(value["manifests"]):
            here = f"{where}: manifests[{number}]"
            if self.descriptor(here, descriptor, allow_platform=True):
                self.follow(here, descriptor)

    def manifest(self, where, value):
        """Returns the image's config, if there is one to be had."""
        self.counts["manifest"] += 1
        good = self.fields(where, value,
                           {"schemaVersion": is_two, "config": is_object,
                            "layers": is_list_of(is_object)},
                           {"mediaType": MANIFEST.__eq__, "artifactType": is_media_type,
                            "subject": is_object, "annotations": is_annotations})
        if not good:
            return None
        if "subject" in value:
            self.descriptor(where + ": subject", value["subject"])
        layers = value["layers"]
        if not all([self.descriptor(f"{where}: layers[{i}]", x) for i, x in enumerate(layers)]):
            return None
        if not self.descriptor(where + ": config", value["config"]):
            return None
        if value["config"]["mediaType"] != CONFIG:
            self.fail(where, f"config is a {value['config']['mediaType']}")
            return None
        path = self.blob(where + ": config", value["config"])
        config = path and self.document(where + ": config", path)
        if config and self.config(f"config {value['config']['digest'][:19]}", config):
            self.layers(where, layers, config["rootfs"]["diff_ids"])
        return config

    def config(self, where, value):
        self.counts["config"] += 1
        good = self.fields(
            where, value,
            {"architecture": ARCHITECTURES.__contains__, "os": is_name, "rootfs": is_object},
            {"created": is_time, "author": is_text, "os.version": is_name,
             "os.features": is_list_of(is_name), "variant": is_name, "config": is_object,
             "history": is_list_of(is_object)})
        if not good or not self.fields(where + ": rootfs", value["rootfs"],
                                       {"type": "layers".__eq__, "diff_ids": is_list_of(is_digest)},
                                       {}):
            return False
        self.execution(where + ": config", value.get("config", {}))
        count = 0
        for number, step in enumerate(value.get("history", [])):
            self.fields(f"{where}: history[{number}]", step, {},
                        {"created": is_time, "author": is_text, "created_by": is_text,
                         "comment": is_text, "empty_layer": is_bool})
            count += not step.get("empty_layer", False)
        if "history" in value and count != len(value["rootfs"]["diff_ids"]):
            self.fail(where, f"history tells of {count} layers, "
                             f"diff_ids of {len(value['rootfs']['diff_ids'])}")
        return True

    def execution(self, where, value):
        """config.config: the specification's fields, and docker's reserved there."""
        self.fields(where, value, {}, {
            "User": is_text, "WorkingDir": is_absolute_or_empty, "StopSignal": is_signal,
            "Env": is_list_of(is_variable), "Entrypoint": is_arguments, "Cmd": is_arguments,
            "ExposedPorts": is_set_of(is_port), "Volumes": is_set_of(is_name),
            "Labels": is_annotations, "ArgsEscaped": is_bool, "Memory": is_size,
            "MemorySwap": is_size, "CpuShares": is_size, "OnBuild": is_list_of(is_name),
            "Shell": is_list_of(is_text),
            "Healthcheck": lambda check: self.healthcheck(where, check)})
        names = [variable.split("=")[0] for variable in value.get("Env", [])]
        if len(set(names)) != len(names):
            self.fail(where, "a variable is set twice")

    def healthcheck(self, where, value):
        return self.fields(where + ": Healthcheck", value, {"Test": is_test},
                           {"Interval": is_size, "Timeout": is_size, "StartPeriod": is_size,
                            "StartInterval": is_size, "Retries": is_size})

    # --- layers -----------------------------------------------------------------------------

    def layers(self, where, layers, diff_ids):
        if len(layers) != len(diff_ids):
            self.fail(where, f"{len(layers)} layers, but {len(diff_ids)} diff_ids")
            return
        for number, (layer, diff_id) in enumerate(zip(layers, diff_ids)):
            here = f"{where}: layers[{number}]"
            if layer["mediaType"] not in (LAYER, LAYER + "+gzip", LAYER + "+zstd"):
                self.fail(here, f"media type {layer['mediaType']}")
                continue
            if layer["digest"] not in self.diff_ids:
                self.diff_ids[layer["digest"]] = self.layer(here, layer)
            have = self.diff_ids[layer["digest"]]
            if have is not None and have != diff_id:
                self.fail(here, f"uncompressed it is {have}, not {diff_id}")

    def layer(self, where, descriptor):
        """The digest of a layer's tar, whose members are checked on the way."""
        path = self.blob(where, descriptor)
        if path is None:
            return None
        self.counts["layer"] += 1
        with open(path, "rb") as file:
            try:
                stream = Hashed(plain(file, descriptor["mediaType"]))
                self.members(where, stream)
                while stream.read(CHUNK):
                    pass
            except (zlib.error, tarfile.TarError, ValueError) as error:
                self.fail(where, f"is no {descriptor['mediaType']}: {error}")
                return None
        return "sha256:" + stream.hash.hexdigest()

    def members(self, where, stream):
        """layer.md: relative names that stay inside, each at most once; whiteouts are empty."""
        names = set()
        for member in tarfile.open(fileobj=stream, mode="r|"):
            name = os.path.normpath(member.name)
            if member.name.startswith("/") or name.split("/")[0] == "..":
                self.fail(where, f"the name {member.name!r} leads outside")
            if name in names:
                self.fail(where, f"{name!r} is there twice")
            names.add(name)
            if os.path.basename(name).startswith(".wh.") and (not member.isreg() or member.size):
                self.fail(where, f"the whiteout {name!r} is no empty file")
            if member.islnk() and os.path.normpath(member.linkname) not in names:
                self.fail(where, f"{name!r} links to {member.linkname!r}, which is not before it")

    # --- the layout -------------------------------------------------------------------------

    def layout(self):
        marker = self.document("oci-layout", os.path.join(self.root, "oci-layout"))
        if marker is not None:
            self.fields("oci-layout", marker, {"imageLayoutVersion": "1.0.0".__eq__}, {})
        index = self.document("index.json", os.path.join(self.root, "index.json"))
        if index is not None:
            self.index("index.json", index)
        for algorithm in os.listdir(os.path.join(self.root, "blobs")):
            for name in os.listdir(os.path.join(self.root, "blobs", algorithm)):
                digest = f"{algorithm}:{name}"
                if not DIGEST.fullmatch(digest):
                    self.fail("blobs", f"{algorithm}/{name} is no digest")
                else:
                    self.digest_holds("blobs", self.path(digest), digest)


class Hashed:
    """A stream of chunks as a file to be read, hashed as it goes."""

    def __init__(self, chunks):
        self.chunks = chunks
        self.rest = b""
        self.hash = hashlib.sha256()

    def read(self, size):
        parts = []
        while size > 0:
            if not self.rest:
                self.rest = next(self.chunks, None)
                if self.rest is None:
                    self.rest = b""
                    break
                self.hash.update(self.rest)
            parts.append(self.rest[:size])
            self.rest = self.rest[size:]
            size -= len(parts[-1])
        return b"".join(parts)


def plain(file, media_type):
    """The uncompressed bytes of a layer, in chunks."""
    if media_type.endswith("+gzip"):
        yield from gunzip(file)
    elif media_type.endswith("+zstd"):
        with subprocess.Popen(["zstd", "-dc"], stdin=file, stdout=subprocess.PIPE) as process:
            while chunk := process.stdout.read(CHUNK):
                yield chunk
        if process.returncode:
            raise ValueError("zstd refuses it")
    else:
        while chunk := file.read(CHUNK):
            yield chunk


def gunzip(file):
    """Of one gzip member: some readers of layers stop after the first."""
    inflate = zlib.decompressobj(wbits=31)
    while chunk := file.read(CHUNK):
        out = None
        # As much as was asked for means that there may be more, even of no further input.
        while not inflate.eof and (out is None or chunk or len(out) == CHUNK):
            out = inflate.decompress(chunk, CHUNK)
            yield out
            chunk = inflate.unconsumed_tail
        if inflate.eof and (inflate.unused_data or file.read(1)):
            raise ValueError("bytes after the first gzip member")
    if not inflate.eof:
        raise ValueError("the gzip member is cut off")


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def is_text(value):
    return isinstance(value, str)


def is_name(value):
    return isinstance(value, str) and value != ""


def is_bool(value):
    return isinstance(value, bool)


def is_object(value):
    return isinstance(value, dict)


def is_size(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def is_two(value):
    return value == 2 and not isinstance(value, bool)


def is_digest(value):
    return isinstance(value, str) and DIGEST.fullmatch(value) is not None


def is_media_type(value):
    return isinstance(value, str) and MEDIA_TYPE.fullmatch(value) is not None


def is_time(value):
    return isinstance(value, str) and TIME.fullmatch(value) is not None


def is_list_of(check):
    return lambda value: isinstance(value, list) and all(check(item) for item in value)


def is_set_of(check):
    """An object whose values are empty objects."""
    return lambda value: (isinstance(value, dict) and all(map(check, value))
                          and all(item == {} for item in value.values()))


def is_annotations(value):
    return (isinstance(value, dict) and all(map(is_name, value))
            and all(map(is_text, value.values()))
            and is_time(value.get("org.opencontainers.image.created", "2000-01-01T00:00:00Z")))


def is_arguments(value):
    return value is None or is_list_of(is_text)(value)


def is_variable(value):
    return isinstance(value, str) and value.find("=") > 0


def is_absolute_or_empty(value):
    return isinstance(value, str) and (value == "" or value.startswith("/"))


def is_signal(value):
    return isinstance(value, str) and re.fullmatch(r"(SIG)?[A-Z0-9+-]+|\d+", value) is not None


def is_port(value):
    match = PORT.fullmatch(value)
    return match is not None and int(match[1]) < 65536


def is_test(value):
    return (is_list_of(is_text)(value)
            and (value in ([], ["NONE"]) or value[0] in ("CMD", "CMD-SHELL") and len(value) > 1))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    checker = Checker(sys.argv[1])
    checker.layout()
    for problem in checker.problems:
        print(problem, file=sys.stderr)
    print(", ".join(f"{count} {name}" for name, count in checker.counts.items()))
    sys.exit(1 if checker.problems else 0)


main()
