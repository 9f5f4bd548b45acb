#!/usr/bin/env python3
"""Asks a registry what the OCI distribution specification 1.1 (and its development version)
promises.

    serve_conformance.py HOST:PORT [--user USER:PASSWORD]

Prints one line a promise, "ok NAME" or "not ok NAME: why"; exits with 1 if one is broken. Names of
repositories are new in each run, so that a registry can be asked again.

Python 3.11, standard library only.
"""
import argparse
import base64
import hashlib
import http.client
import json
import os
import secrets
import sys
import traceback

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
CODES = {
    "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID",
    "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS",
    "PAGINATION_NUMBER_INVALID", "UNKNOWN",
}


class Broken(Exception):
    """A promise was not kept."""


def need(condition, *what):
    if not condition:
        raise Broken(" ".join(str(w) for w in what))


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sha512(data):
    return "sha512:" + hashlib.sha512(data).hexdigest()


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    def __getitem__(self, name):
        return self.headers.get(name)

    def json(self):
        return json.loads(self.body)

    def error(self):
        """The first error's code, which must be one of the specification's."""
        code = self.json()["errors"][0]["code"]
        need(code in CODES, "unknown error code", code)
        return code


class Registry:
    def __init__(self, address, credentials=None):
        self.address = address
        self.common = {}
        if credentials:
            token = base64.b64encode(credentials.encode()).decode()
            self.common["Authorization"] = "Basic " + token

    def do(self, method, path, body=None, expect=None, **headers):
        """One request on a connection of its own; header names have _ for -."""
        host, port = self.address.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=120)
        fields = dict(self.common)
        fields.update({k.replace("_", "-"): v for k, v in headers.items()})
        if body is None and method in ("POST", "PUT", "PATCH"):
            body = b""
        try:
            connection.request(method, path, body=body, headers=fields,
                               encode_chunked="Transfer-Encoding" in fields)
            response = connection.getresponse()
            answer = Answer(response, response.read())
        finally:
            connection.close()
        if expect is not None:
            allowed = expect if isinstance(expect, tuple) else (expect,)
            need(answer.status in allowed, method, path, "gave", answer.status, answer.body[:300],
                 "instead of", expect)
        return answer

    # What the tests build on.

    def blob(self, repo, data, digest=None):
        digest = digest or sha256(data)
        where = self.do("POST", f"/v2/{repo}/blobs/uploads/", expect=202)["Location"]
        self.do("PUT", with_query(where, "digest=" + digest), data, expect=201,
                Content_Type="application/octet-stream")
        return digest

    def manifest(self, repo, reference, document, expect=201, **headers):
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        media = headers.pop("Content_Type", None)
        if media is None:
            media = json.loads(data).get("mediaType", IMAGE)
        return self.do("PUT", f"/v2/{repo}/manifests/{reference}", data, expect=expect,
                       Content_Type=media, **headers)

    def image(self, repo, layers=1, **more):
        """The document of an image whose blobs are there."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {
            "type": "layers", "diff_ids": []}, "n": secrets.token_hex(8)}).encode()
        document = {"schemaVersion": 2, "mediaType": IMAGE,
                    "config": self.describe(repo, CONFIG, config), "layers": []}
        for _ in range(layers):
            document["layers"].append(self.describe(repo, LAYER, secrets.token_bytes(200)))
        document.update(more)
        return document

    def describe(self, repo, media, data, digest=None):
        return descriptor(media, data, self.blob(repo, data, digest))


def descriptor(media, data, digest=None):
    return {"mediaType": media, "digest": digest or sha256(data), "size": len(data)}


def as_bytes(document):
    return json.dumps(document).encode()


def with_query(url, query):
    return url + ("&" if "?" in url else "?") + query


def new_repo():
    return "conformance/" + secrets.token_hex(6)


TESTS = []


def promise(function):
    TESTS.append(function)
    return function


# --- Determining support ---


@promise
def base_endpoint_answers(r):
    a = r.do("GET", "/v2/", expect=200)
    need(a["Docker-Distribution-API-Version"] == "registry/2.0", a.headers)


@promise
def what_is_nowhere_is_404_and_what_cannot_be_done_405(r):
    r.do("GET", "/v2/x", expect=404)
    r.do("GET", "/nothing", expect=404)
    a = r.do("PATCH", f"/v2/{new_repo()}/manifests/x", expect=405)
    need(a.error() == "UNSUPPORTED", a.body)


# --- Pulling ---


@promise
def unknown_things_are_404_with_their_codes(r):
    repo = new_repo()
    absent = sha256(b"absent")
    need(r.do("GET", f"/v2/{repo}/blobs/{absent}", expect=404).error() == "BLOB_UNKNOWN")
    need(r.do("GET", f"/v2/{repo}/manifests/{absent}", expect=404).error() == "MANIFEST_UNKNOWN")
    need(r.do("GET", f"/v2/{repo}/manifests/none", expect=404).error() == "MANIFEST_UNKNOWN")
    need(r.do("GET", f"/v2/{repo}/tags/list", expect=404).error() == "NAME_UNKNOWN")
    need(r.do("HEAD", f"/v2/{repo}/blobs/{absent}", expect=404).body == b"")
    need(r.do("HEAD", f"/v2/{repo}/manifests/none", expect=404).body == b"")
    need(r.do("GET", f"/v2/{repo}/referrers/{absent}", expect=200).json()["manifests"] == [])


@promise
def an_image_is_pulled_as_it_was_pushed(r):
    repo = new_repo()
    # Blanks and the order of members must stay.
    data = json.dumps(r.image(repo, 2, annotations={"k": "v"}), indent=3).encode() + b"\n\n"
    digest = sha256(data)
    a = r.manifest(repo, "v1", data)
    need(a["Docker-Content-Digest"] == digest, a.headers)
    need(r.do("GET", a["Location"], expect=200).body == data, "Location leads elsewhere")
    for reference in ("v1", digest):
        got = r.do("GET", f"/v2/{repo}/manifests/{reference}", expect=200, Accept=IMAGE)
        need(got.body == data and got["Content-Type"] == IMAGE, got.headers)
        need(got["Docker-Content-Digest"] == digest and got["Content-Length"] == str(len(data)))
        head = r.do("HEAD", f"/v2/{repo}/manifests/{reference}", expect=200)
        need(head.body == b"" and head["Content-Length"] == str(len(data)), head.headers)
        need(head["Docker-Content-Digest"] == digest and head["Content-Type"] == IMAGE)


@promise
def blobs_have_heads_ranges_and_conditions(r):
    repo = new_repo()
    data = bytes(range(256)) * 40
    path = f"/v2/{repo}/blobs/{r.blob(repo, data)}"
    need(r.do("GET", path, expect=200).body == data)
    head = r.do("HEAD", path, expect=200)
    need(head["Content-Length"] == str(len(data)) and head.body == b"", head.headers)
    for text, part in (("bytes=0-0", data[:1]), ("bytes=100-199", data[100:200]),
                       ("bytes=10200-", data[10200:]), ("bytes=-17", data[-17:]),
                       ("bytes=10000-99999", data[10000:]), ("bytes=-99999", data)):
        a = r.do("GET", path, expect=206, Range=text)
        need(a.body == part, text, len(a.body))
        first = data.index(part) if text != "bytes=0-0" else 0
        need(a["Content-Range"].endswith(f"/{len(data)}"), a["Content-Range"], first)
    for text in (f"bytes={len(data)}-", "bytes=5-2"):
        a = r.do("GET", path, expect=416, Range=text)
        need(a["Content-Range"] == f"bytes */{len(data)}", a.headers)
    for odd in ("lines=1-2", "bytes=a-b", "bytes=0-1,4-5"):
        need(r.do("GET", path, expect=200, Range=odd).body == data, odd)
    tag = head["ETag"]
    need(r.do("GET", path, expect=304, If_None_Match=tag).body == b"")
    need(r.do("GET", path, expect=200, Range="bytes=0-1", If_Range='"x"').body == data)


# --- Pushing blobs ---


@promise
def blobs_come_by_post_and_put(r):
    repo = new_repo()
    data = secrets.token_bytes(70000)
    where = r.do("POST", f"/v2/{repo}/blobs/uploads/", expect=202)["Location"]
    a = r.do("PUT", with_query(where, "digest=" + sha256(data)), data, expect=201)
    need(r.do("GET", a["Location"], expect=200).body == data)
    need(a["Docker-Content-Digest"] == sha256(data), a.headers)
    # The session is over.
    need(r.do("GET", where, expect=404).error() == "BLOB_UPLOAD_UNKNOWN")


@promise
def blobs_come_by_one_post(r):
    repo = new_repo()
    data = secrets.token_bytes(1000)
    path = f"/v2/{repo}/blobs/uploads/?digest="
    a = r.do("POST", path + sha256(data), data, expect=201)
    need(r.do("GET", a["Location"], expect=200).body == data)
    need(r.do("POST", path + sha256(b"x"), data, expect=400).error() == "DIGEST_INVALID")
    r.do("HEAD", f"/v2/{repo}/blobs/{sha256(b'x')}", expect=404)
    data = secrets.token_bytes(1000)
    a = r.do("POST", path + sha512(data), data, expect=201)
    need(r.do("GET", a["Location"], expect=200).body == data)


@promise
def blobs_come_in_chunks(r):
    repo = new_repo()
    data = secrets.token_bytes(3000)
    where = r.do("POST", f"/v2/{repo}/blobs/uploads/", expect=202, Content_Length="0")["Location"]
    for start in (0, 1000):
        a = r.do("PATCH", where, data[start:start + 1000], expect=202,
                 Content_Range=f"{start}-{start + 999}")
        need(a["Range"] == f"0-{start + 999}", a.headers)
        where = a["Location"]
    status = r.do("GET", where, expect=204)
    need(status["Range"] == "0-1999" and status["Location"], status.headers)
    a = r.do("PUT", with_query(where, "digest=" + sha256(data)), data[2000:], expect=201,
             Content_Range="2000-2999")
    need(r.do("GET", a["Location"], expect=200).body == data)


@promise
def chunks_without_ranges_are_a_stream(r):
    repo = new_repo()
    data = secrets.token_bytes(5000)
    where = r.do("POST", f"/v2/{repo}/blobs/uploads/", expect=202)["Location"]
    where = r.do("PATCH", where, data, expect=202)["Location"]
    a = r.do("PUT", with_query(where, "digest=" + sha256(data)), expect=201)
    need(r.do("GET", a["Location"], expect=200).body == data)
    # Of unknown length.
    where = r.do("POST", f"/v2/{repo}/blobs/uploads/", expect=202)["Location"]
    data = secrets.token_bytes(5000)
    where = r.do("PATCH", where, iter([data[:1], data[1:4000], data[4000:]]), expect=202,
                 Transfer_Encoding="chunked")["Location"]
    r.do("PUT", with_query(where, "digest=" + sha256(data)), expect=201)
    need(r.do("GET", f"/v2/{repo}/blobs/{sha256(data)}", expect=200).body == data)


@promise
def chunks_out_of_order_are_416_and_the_upload_goes_on(r):
    repo = new_repo()
    data = secrets.token_bytes(300)
    where = r.do("POST", f"/v2/{repo}/blobs/uploads/", expect=202)["Location"]
    need(r.do("PATCH", where, data[100:200], expect=416,
              Content_Range="100-199").error() == "BLOB_UPLOAD_INVALID")
    r.do("PATCH", where, data[:100], expect=202, Content_Range="0-99")
    r.do("PATCH", where, data[:100], expect=416, Content_Range="0-99")
    r.do("PATCH", where, data[200:], expect=416, Content_Range="200-299")
    query = "digest=" + sha256(data)
    r.do("PUT", with_query(where, query), data[200:], expect=416, Content_Range="200-299")
    need(r.do("GET", where, expect=204)["Range"] == "0-99")
    r.do("PATCH", where, data[100:200], expect=202, Content_Range="100-199")
    a = r.do("PUT", with_query(where, query), data[200:], expect=201, Content_Range="200-299")
    need(r.do("GET", a["Location"], expect=200).body == data)
    where = r.do("POST", f"/v2/{repo}/blobs/uploads/", expect=202)["Location"]
    r.do("PATCH", where, data[:100], expect=(400, 416), Content_Range="0-50")
    r.do("PATCH", where, data[:100], expect=(400, 416), Content_Range="nonsense")


@promise
def uploads_are_cancelled(r):
    repo = new_repo()
    where = r.do("POST", f"/v2/{repo}/blobs/uploads/", expect=202)["Location"]
    r.do("PATCH", where, b"abc", expect=202)
    r.do("DELETE", where, expect=204)
    for method in ("GET", "DELETE", "PATCH"):
        need(r.do(method, where, expect=404).error() == "BLOB_UPLOAD_UNKNOWN")
    r.do("PUT", with_query(where, "digest=" + sha256(b"abc")), expect=404)


@promise
def uploads_belong_to_their_repository(r):
    repo = new_repo()
    where = r.do("POST", f"/v2/{repo}/blobs/uploads/", expect=202)["Location"]
    r.do("GET", where.replace(repo, new_repo()), expect=404)
    r.do("DELETE", where, expect=204)


@promise
def wrong_digests_are_400_and_leave_nothing(r):
    repo = new_repo()
    for digest in (sha256(b"other"), sha512(b"other"), "sha256:baddigeststring", "sha256:",
                   "md5:d41d8cd98f00b204e9800998ecf8427e", "nonsense", ""):
        where = r.do("POST", f"/v2/{repo}/blobs/uploads/", expect=202)["Location"]
        a = r.do("PUT", with_query(where, "digest=" + digest), b"this", expect=400)
        need(a.error() == "DIGEST_INVALID", digest, a.body)
    where = r.do("POST", f"/v2/{repo}/blobs/uploads/", expect=202)["Location"]
    need(r.do("PUT", where, b"this", expect=400).error() == "DIGEST_INVALID")
    r.do("HEAD", f"/v2/{repo}/blobs/{sha256(b'other')}", expect=404)
    r.do("HEAD", f"/v2/{repo}/blobs/{sha256(b'this')}", expect=404)
    r.do("POST", f"/v2/{repo}/blobs/uploads/?digest-algorithm=md5", expect=400)


@promise
def sha512_works_everywhere(r):
    repo = new_repo()
    data = secrets.token_bytes(999)
    # Announced, not announced, and found out only at the end.
    where = r.do("POST", f"/v2/{repo}/blobs/uploads/?digest-algorithm=sha512",
                 expect=202)["Location"]
    r.do("PATCH", where, data, expect=202)
    r.do("PUT", with_query(where, "digest=" + sha512(data)), expect=201)
    need(r.do("GET", f"/v2/{repo}/blobs/{sha512(data)}", expect=200).body == data)
    data = secrets.token_bytes(999)
    where = r.do("POST", f"/v2/{repo}/blobs/uploads/", expect=202)["Location"]
    r.do("PATCH", where, data, expect=202)
    r.do("PUT", with_query(where, "digest=" + sha512(data)), expect=201)
    need(r.do("GET", f"/v2/{repo}/blobs/{sha512(data)}", expect=200).body == data)
    config, layer = secrets.token_bytes(50), secrets.token_bytes(60)
    document = {"schemaVersion": 2, "mediaType": IMAGE,
                "config": r.describe(repo, CONFIG, config, sha512(config)),
                "layers": [r.describe(repo, LAYER, layer, sha512(layer))]}
    text = as_bytes(document)
    a = r.manifest(repo, sha512(text), text)
    need(a["Docker-Content-Digest"] == sha512(text), a.headers)
    need(r.do("GET", f"/v2/{repo}/manifests/{sha512(text)}", expect=200).body == text)
    r.do("DELETE", f"/v2/{repo}/manifests/{sha512(text)}", expect=202)


@promise
def the_empty_blob_is_one(r):
    repo = new_repo()
    digest = r.blob(repo, b"")
    a = r.do("GET", f"/v2/{repo}/blobs/{digest}", expect=200)
    need(a.body == b"" and a["Content-Length"] == "0", a.headers)
    r.do("HEAD", f"/v2/{repo}/blobs/{digest}", expect=200)
    r.do("GET", f"/v2/{repo}/blobs/{digest}", expect=416, Range="bytes=0-0")


@promise
def blobs_are_mounted(r):
    one, two, three = new_repo(), new_repo(), new_repo()
    data = secrets.token_bytes(500)
    digest = r.blob(one, data)
    r.do("HEAD", f"/v2/{two}/blobs/{digest}", expect=404)
    a = r.do("POST", f"/v2/{two}/blobs/uploads/?mount={digest}&from={one}", expect=201)
    need(r.do("GET", a["Location"], expect=200).body == data)
    # From wherever it is.
    a = r.do("POST", f"/v2/{three}/blobs/uploads/?mount={digest}", expect=201)
    need(r.do("GET", a["Location"], expect=200).body == data)


@promise
def what_cannot_be_mounted_becomes_an_upload(r):
    one, two = new_repo(), new_repo()
    data = secrets.token_bytes(500)
    digest = r.blob(one, data)
    for query in (f"mount={sha256(b'absent')}&from={one}", f"mount={digest}&from={new_repo()}",
                  f"mount={sha256(b'absent')}"):
        where = r.do("POST", f"/v2/{two}/blobs/uploads/?{query}", expect=202)["Location"]
        r.do("DELETE", where, expect=204)
    r.do("POST", f"/v2/{two}/blobs/uploads/?mount=nonsense&from={one}", expect=400)


# --- Pushing manifests ---


@promise
def manifests_of_all_kinds_are_taken(r):
    repo = new_repo()
    r.manifest(repo, "no-layers", r.image(repo, 0))
    r.manifest(repo, "data", dict(r.image(repo), config={
        **r.describe(repo, EMPTY, b"{}"), "data": base64.b64encode(b"{}").decode()}))
    r.manifest(repo, "custom", dict(r.image(repo), vendor={"deep": [1, 2.5, None]}, x="y"))
    foreign = r.image(repo)
    foreign["layers"].append(descriptor(
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", b"never pushed"))
    foreign["layers"][-1]["urls"] = ["https://example.com/layer"]
    r.manifest(repo, "foreign", foreign)
    r.manifest(repo, "artifact", {
        "schemaVersion": 2, "mediaType": IMAGE, "artifactType": "application/vnd.example.thing",
        "config": r.describe(repo, EMPTY, b"{}"), "layers": [r.describe(repo, EMPTY, b"{}")]})
    plain = r.image(repo)
    del plain["mediaType"]
    r.manifest(repo, "plain", plain, Content_Type=IMAGE + "; charset=utf-8")
    need(r.do("GET", f"/v2/{repo}/manifests/plain", expect=200)["Content-Type"] == IMAGE)
    docker = dict(r.image(repo), mediaType=DOCKER)
    r.manifest(repo, "docker", docker)
    need(r.do("GET", f"/v2/{repo}/manifests/docker", expect=200)["Content-Type"] == DOCKER)


@promise
def indexes_and_indexes_of_indexes_are_taken(r):
    repo = new_repo()
    entries = []
    for arch in ("amd64", "arm64"):
        text = as_bytes(r.image(repo, 1, annotations={"arch": arch}))
        r.manifest(repo, sha256(text), text)
        entries.append({**descriptor(IMAGE, text),
                        "platform": {"os": "linux", "architecture": arch}})
    index = as_bytes({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    r.manifest(repo, "index", index)
    outer = as_bytes({"schemaVersion": 2, "mediaType": INDEX,
                      "manifests": [descriptor(INDEX, index)]})
    r.manifest(repo, "outer", outer)
    need(r.do("GET", f"/v2/{repo}/manifests/outer", expect=200)["Content-Type"] == INDEX)
    none = as_bytes({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
    r.manifest(repo, "empty", none)


@promise
def an_image_without_its_config_is_refused(r):
    repo, other = new_repo(), new_repo()
    image = r.image(repo)
    a = r.manifest(repo, "x", dict(image, config=descriptor(CONFIG, b"absent")), expect=(400, 404))
    need(a.error() == "MANIFEST_BLOB_UNKNOWN", a.body)
    r.do("GET", f"/v2/{repo}/manifests/x", expect=404)
    # It is in the registry, but not in this repository.
    a = r.manifest(other, "x", image, expect=(400, 404))
    need(a.error() == "MANIFEST_BLOB_UNKNOWN", a.body)


@promise
def sparse_manifests_are_taken_and_completed(r):
    repo = new_repo()
    image = r.image(repo)
    missing = secrets.token_bytes(300)
    image["layers"].append(descriptor(LAYER, missing))
    text = as_bytes(image)
    r.manifest(repo, "image", text)
    r.do("HEAD", f"/v2/{repo}/blobs/{sha256(missing)}", expect=404)
    other = as_bytes(r.image(repo))
    entries = [{**descriptor(IMAGE, data), "platform": {"os": "linux", "architecture": arch}}
               for data, arch in ((text, "amd64"), (other, "arm64"))]
    index = as_bytes({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    r.manifest(repo, "index", index)
    for reference, data in (("image", text), ("index", index), (sha256(text), text),
                            (sha256(index), index)):
        need(r.do("GET", f"/v2/{repo}/manifests/{reference}", expect=200).body == data)
    r.do("HEAD", f"/v2/{repo}/manifests/{sha256(other)}", expect=404)
    need(r.do("GET", f"/v2/{repo}/tags/list", expect=200).json()["tags"] == ["image", "index"])
    # What was missing comes later, or an image above it.
    r.blob(repo, missing)
    need(r.do("GET", f"/v2/{repo}/blobs/{sha256(missing)}", expect=200).body == missing)
    r.manifest(repo, sha256(other), other)
    need(r.do("GET", f"/v2/{repo}/manifests/{sha256(other)}", expect=200).body == other)
    outer = {"schemaVersion": 2, "mediaType": INDEX,
             "manifests": [descriptor(INDEX, index), descriptor(INDEX, b"no index")]}
    r.manifest(repo, "outer", outer)
    # It speaks of something else, and is deleted like any other.
    r.manifest(repo, "sig", r.image(repo, subject=descriptor(INDEX, as_bytes(outer))))
    listed = r.do("GET", f"/v2/{repo}/referrers/{sha256(as_bytes(outer))}", expect=200).json()
    need(len(listed["manifests"]) == 1, listed)
    for reference in ("image", sha256(as_bytes(outer))):
        r.do("DELETE", f"/v2/{repo}/manifests/{reference}", expect=202)
        r.do("GET", f"/v2/{repo}/manifests/{reference}", expect=404)


@promise
def naming_what_others_pushed_shows_nothing_of_it(r):
    repo, other = new_repo(), new_repo()
    theirs = as_bytes(r.image(other))
    r.manifest(other, "1", theirs)
    layer = json.loads(theirs)["layers"][0]
    mine = r.image(repo)
    mine["layers"].append(layer)
    r.manifest(repo, "image", mine)
    # A wrong size is nobody's to correct.
    r.manifest(repo, "wrong", dict(mine, layers=[dict(layer, size=1)]))
    r.manifest(repo, "index", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        descriptor(IMAGE, theirs), descriptor(INDEX, b"nothing")]})
    for path in (f"blobs/{layer['digest']}", f"blobs/{sha256(theirs)}",
                 f"manifests/{sha256(theirs)}"):
        r.do("GET", f"/v2/{repo}/{path}", expect=404)
        r.do("HEAD", f"/v2/{repo}/{path}", expect=404)
    r.do("GET", f"/v2/{other}/manifests/{sha256(theirs)}", expect=200)


@promise
def what_is_no_manifest_is_refused(r):
    repo = new_repo()
    good = r.image(repo)
    wrong = [
        b"", b"{", b"[]", b"null", b"not json", b'{"schemaVersion": 2}', b"\xff\xfe",
        as_bytes(dict(good, schemaVersion=1)),
        as_bytes(dict(good, manifests=[])),
        as_bytes(dict(good, config={"mediaType": CONFIG, "size": 1})),
        as_bytes(dict(good, config=dict(good["config"], size=good["config"]["size"] + 1))),
        as_bytes(dict(good, config=dict(good["config"], digest="sha256:xyz"))),
        as_bytes(dict(good, layers="none")),
        as_bytes(dict(good, mediaType="application/x-nothing")),
        as_bytes(dict(good, annotations={"a": 1})),
        as_bytes(dict(good, subject={"digest": 1})),
        as_bytes({"schemaVersion": 1, "name": "x", "fsLayers": [], "signatures": []}),
        b"[" * 100000,
    ]
    for data in wrong:
        a = r.manifest(repo, "x", data, expect=400, Content_Type=IMAGE)
        need(a.error() == "MANIFEST_INVALID", data[:80], a.body)
    a = r.manifest(repo, "x", good, expect=400, Content_Type=INDEX)
    need(a.error() == "MANIFEST_INVALID", "index that is none", a.body)
    r.do("GET", f"/v2/{repo}/manifests/x", expect=404)


@promise
def wrong_references_are_refused(r):
    repo = new_repo()
    good = r.image(repo)
    for digest in ("sha256:baddigeststring", sha256(b"other"), "md5:abc"):
        need(r.manifest(repo, digest, good, expect=400).error() == "DIGEST_INVALID", digest)
    for tag in (".dot", "-dash", "a" * 129, "sp%20ace", "%2e%2e"):
        r.manifest(repo, tag, good, expect=(400, 404))
    r.do("GET", f"/v2/{repo}/manifests/sha256:baddigeststring", expect=(400, 404))
    for name in ("Upper", "a//b", "../x", "a/../b", "-a", "a-", "a%00b", "a%0ab", "a%zz", "x" * 256,
                 "%2e%2e/x", "a:b"):
        a = r.manifest(name, "x", good, expect=(400, 404))
        need(a.error() in ("NAME_INVALID", "UNSUPPORTED"), name, a.body)


@promise
def manifests_of_four_megabytes_are_taken_and_larger_ones_are_413(r):
    repo = new_repo()
    image = r.image(repo)
    room = (4 << 20) - len(as_bytes(dict(image, annotations={"a": ""})))
    data = as_bytes(dict(image, annotations={"a": "x" * room}))
    need(len(data) == 4 << 20)
    r.manifest(repo, "large", data)
    need(r.do("GET", f"/v2/{repo}/manifests/large", expect=200).body == data)
    r.manifest(repo, "larger", data + b" ", expect=413)
    r.do("GET", f"/v2/{repo}/manifests/larger", expect=404)


@promise
def tags_come_with_a_digest(r):
    repo = new_repo()
    text = as_bytes(r.image(repo))
    a = r.manifest(repo, sha256(text) + "?tag=1.2.3&tag=1.2&tag=latest", text)
    tags = {t.strip() for h in a.headers.get_all("OCI-Tag") for t in h.split(",")}
    need(tags == {"1.2.3", "1.2", "latest"}, tags)
    for tag in tags:
        need(r.do("GET", f"/v2/{repo}/manifests/{tag}", expect=200).body == text)


# --- Conditions ---


@promise
def conditions_decide_whether_a_tag_moves(r):
    repo = new_repo()
    one, two = as_bytes(r.image(repo)), as_bytes(r.image(repo))
    r.manifest(repo, "t", one, expect=412, If_Match=f'"{sha256(one)}"')
    r.manifest(repo, "t", one, expect=412, If_Match="*")
    r.manifest(repo, "t", one, If_None_Match="*")
    tag = r.do("HEAD", f"/v2/{repo}/manifests/t", expect=200)["ETag"]
    need(tag == f'"{sha256(one)}"', tag)
    a = r.manifest(repo, "t", two, expect=412, If_None_Match="*")
    need(a["ETag"] == tag and sha256(one) in a.body.decode(), a.body)
    r.manifest(repo, "t", one, expect=412, If_None_Match="*")
    r.manifest(repo, "t", two, expect=412, If_Match=f'"{sha256(two)}"')
    r.manifest(repo, "t", two, expect=412, If_Match='"nonsense"')
    r.manifest(repo, "t", two, expect=412, If_None_Match=tag)
    need(r.do("GET", f"/v2/{repo}/manifests/t", expect=200).body == one)
    # The bytes of those that lost are not seen either.
    r.do("GET", f"/v2/{repo}/manifests/{sha256(two)}", expect=404)
    r.manifest(repo, "t", two, If_Match=tag)
    need(r.do("GET", f"/v2/{repo}/manifests/t", expect=200).body == two)
    r.do("GET", f"/v2/{repo}/manifests/t", expect=304, If_None_Match=f'"{sha256(two)}"')
    r.do("GET", f"/v2/{repo}/manifests/t", expect=200, If_None_Match=tag)
    r.do("DELETE", f"/v2/{repo}/manifests/t", expect=412, If_Match=tag)


# --- Content discovery ---


@promise
def tags_are_listed_in_order_and_by_pages(r):
    repo = new_repo()
    text = as_bytes(r.image(repo))
    tags = ["1.0", "1.10", "1.9", "B", "_x", "a", "latest", "z"]
    for tag in reversed(tags):
        r.manifest(repo, tag, text)
    a = r.do("GET", f"/v2/{repo}/tags/list", expect=200)
    need(a.json() == {"name": repo, "tags": sorted(tags)} and a["Link"] is None, a.body)
    a = r.do("GET", f"/v2/{repo}/tags/list?n=0", expect=200)
    need(a.json()["tags"] == [] and a["Link"] is None, a.body, a.headers)
    seen, path = [], f"/v2/{repo}/tags/list?n=3"
    while path:
        a = r.do("GET", path, expect=200)
        seen.append(a.json()["tags"])
        link = a["Link"]
        need(link is None or link.endswith('; rel="next"'), link)
        path = link[1:link.index(">")] if link else None
    need(seen == [sorted(tags)[i:i + 3] for i in (0, 3, 6)], seen)
    last = sorted(tags)[4]
    a = r.do("GET", f"/v2/{repo}/tags/list?last={last}", expect=200)
    need(a.json()["tags"] == sorted(tags)[5:], a.body)
    a = r.do("GET", f"/v2/{repo}/tags/list?n=2&last={last}", expect=200)
    need(a.json()["tags"] == sorted(tags)[5:7], a.body)
    need(r.do("GET", f"/v2/{repo}/tags/list?last=zzz", expect=200).json()["tags"] == [])
    r.do("GET", f"/v2/{repo}/tags/list?n=x", expect=400)


@promise
def repositories_are_listed_by_pages(r):
    prefix = new_repo()
    repos = sorted(f"{prefix}/{c}" for c in "abcd")
    for repo in repos:
        r.manifest(repo, "1", r.image(repo))
    listed = r.do("GET", "/v2/_catalog", expect=200).json()["repositories"]
    need(listed == sorted(listed) and set(repos) <= set(listed), listed)
    a = r.do("GET", f"/v2/_catalog?n=2&last={prefix}", expect=200)
    need(a.json()["repositories"] == repos[:2] and a["Link"], a.body)
    link = a["Link"]
    a = r.do("GET", link[1:link.index(">")], expect=200)
    need(a.json()["repositories"] == repos[2:], a.body)


@promise
def referrers_are_listed_and_filtered(r):
    repo = new_repo()
    subject = as_bytes(r.image(repo))
    of = {"subject": descriptor(IMAGE, subject)}
    # Before what they speak of.
    by_config = as_bytes(r.image(repo, **of, annotations={"n": "1"}))
    a = r.manifest(repo, "sig", by_config)
    need(a["OCI-Subject"] == sha256(subject), a.headers)
    r.manifest(repo, "subject", subject)
    kind = "application/vnd.example.sbom.v1+json"
    by_type = as_bytes(r.image(repo, **of, artifactType=kind, annotations={"n": "2"}))
    r.manifest(repo, sha256(by_type), by_type)
    index = as_bytes({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], **of,
                      "annotations": {"n": "3"}})
    r.manifest(repo, sha256(index), index)
    path = f"/v2/{repo}/referrers/{sha256(subject)}"
    a = r.do("GET", path, expect=200)
    need(a["Content-Type"] == INDEX and a["OCI-Filters-Applied"] is None, a.headers)
    document = a.json()
    need(document["schemaVersion"] == 2 and document["mediaType"] == INDEX, document)
    listed = {d["digest"]: d for d in document["manifests"]}
    need(set(listed) == {sha256(by_config), sha256(by_type), sha256(index)}, listed)
    need(listed[sha256(by_config)] == {**descriptor(IMAGE, by_config), "artifactType": CONFIG,
                                       "annotations": {"n": "1"}}, listed)
    need(listed[sha256(by_type)]["artifactType"] == kind)
    need("artifactType" not in listed[sha256(index)], listed)
    for written in (kind, kind.replace("+", "%2B").replace("/", "%2F")):
        a = r.do("GET", f"{path}?artifactType={written}", expect=200)
        need(a["OCI-Filters-Applied"] == "artifactType", a.headers)
        need([d["digest"] for d in a.json()["manifests"]] == [sha256(by_type)], a.body)
    need(r.do("GET", f"{path}?artifactType=none", expect=200).json()["manifests"] == [])
    r.do("GET", f"/v2/{repo}/referrers/sha256:bad", expect=400)
    need(r.do("GET", path.replace(repo, new_repo()), expect=200).json()["manifests"] == [])
    r.do("DELETE", f"/v2/{repo}/manifests/{sha256(by_type)}", expect=202)
    left = r.do("GET", path, expect=200).json()["manifests"]
    need(len(left) == 2, left)


# --- Content management ---


@promise
def tags_are_deleted_and_their_manifest_stays(r):
    repo = new_repo()
    text = as_bytes(r.image(repo))
    for tag in ("a", "b"):
        r.manifest(repo, tag, text)
    r.do("DELETE", f"/v2/{repo}/manifests/a", expect=202)
    r.do("GET", f"/v2/{repo}/manifests/a", expect=404)
    need(r.do("GET", f"/v2/{repo}/manifests/b", expect=200).body == text)
    need(r.do("GET", f"/v2/{repo}/manifests/{sha256(text)}", expect=200).body == text)
    need(r.do("GET", f"/v2/{repo}/tags/list", expect=200).json()["tags"] == ["b"])
    r.do("DELETE", f"/v2/{repo}/manifests/a", expect=404)


@promise
def manifests_are_deleted_with_their_tags(r):
    repo = new_repo()
    text, other = as_bytes(r.image(repo)), as_bytes(r.image(repo))
    for tag in ("a", "b"):
        r.manifest(repo, tag, text)
    r.manifest(repo, "c", other)
    r.do("DELETE", f"/v2/{repo}/manifests/{sha256(text)}", expect=202)
    for reference in ("a", "b", sha256(text)):
        r.do("GET", f"/v2/{repo}/manifests/{reference}", expect=404)
    need(r.do("GET", f"/v2/{repo}/tags/list", expect=200).json()["tags"] == ["c"])
    r.do("DELETE", f"/v2/{repo}/manifests/{sha256(text)}", expect=404)
    r.do("DELETE", f"/v2/{new_repo()}/manifests/{sha256(text)}", expect=404)
    r.manifest(repo, "a", text)
    need(r.do("GET", f"/v2/{repo}/manifests/a", expect=200).body == text)


@promise
def an_image_of_an_index_is_deleted_at_once(r):
    repo = new_repo()
    one, two = as_bytes(r.image(repo)), as_bytes(r.image(repo))
    for text in (one, two):
        r.manifest(repo, sha256(text), text)
    inner = as_bytes({"schemaVersion": 2, "mediaType": INDEX,
                      "manifests": [descriptor(IMAGE, one), descriptor(IMAGE, two)]})
    r.manifest(repo, sha256(inner), inner)
    outer = as_bytes({"schemaVersion": 2, "mediaType": INDEX,
                      "manifests": [descriptor(INDEX, inner), descriptor(IMAGE, one)]})
    r.manifest(repo, "outer", outer)
    r.do("DELETE", f"/v2/{repo}/manifests/{sha256(one)}", expect=202)
    r.do("GET", f"/v2/{repo}/manifests/{sha256(one)}", expect=404)
    for text in (two, inner, outer):
        need(r.do("GET", f"/v2/{repo}/manifests/{sha256(text)}", expect=200).body == text)
    r.manifest(repo, "again", one)
    for reference in ("again", sha256(one)):
        need(r.do("GET", f"/v2/{repo}/manifests/{reference}", expect=200).body == one)


@promise
def blobs_are_deleted_and_can_come_again(r):
    repo, other = new_repo(), new_repo()
    data = secrets.token_bytes(100)
    digest = r.blob(repo, data)
    r.do("POST", f"/v2/{other}/blobs/uploads/?mount={digest}&from={repo}", expect=201)
    r.do("DELETE", f"/v2/{repo}/blobs/{digest}", expect=202)
    r.do("GET", f"/v2/{repo}/blobs/{digest}", expect=404)
    r.do("DELETE", f"/v2/{repo}/blobs/{digest}", expect=404)
    need(r.do("GET", f"/v2/{other}/blobs/{digest}", expect=200).body == data)
    r.do("DELETE", f"/v2/{other}/blobs/{digest}", expect=202)
    r.do("POST", f"/v2/{repo}/blobs/uploads/?mount={digest}", expect=202)
    r.blob(repo, data)
    need(r.do("GET", f"/v2/{repo}/blobs/{digest}", expect=200).body == data)


# --- What is private ---


@promise
def content_is_seen_only_where_it_was_pushed(r):
    repo, other = new_repo(), new_repo()
    text = as_bytes(r.image(repo))
    r.manifest(repo, "1", text)
    layer = json.loads(text)["layers"][0]["digest"]
    for path in (f"blobs/{layer}", f"blobs/{sha256(text)}", f"manifests/{sha256(text)}"):
        r.do("GET", f"/v2/{other}/{path}", expect=404)
    # A manifest is no blob, and a blob no manifest.
    r.do("GET", f"/v2/{repo}/blobs/{sha256(text)}", expect=404)
    r.do("GET", f"/v2/{repo}/manifests/{layer}", expect=404)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address")
    parser.add_argument("--user")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    registry = Registry(arguments.address, arguments.user)
    failed = 0
    for test in TESTS:
        if arguments.only not in test.__name__:
            continue
        try:
            test(registry)
            print("ok", test.__name__)
        except Broken as e:
            failed += 1
            print("not ok", test.__name__ + ":", e)
        except Exception:  # what the registry did was no HTTP at all
            failed += 1
            print("not ok", test.__name__ + ":", traceback.format_exc())
    print(f"{len(TESTS)} promises, {failed} broken")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
