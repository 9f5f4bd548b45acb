#!/usr/bin/env python3
"""An upstream that misbehaves, and the registry before it: serve_upstream.py COOPER STORE.

Starts `cooper serve --upstream` on the store, before an upstream of its own that sends blobs slowly,
wrongly, in parts or not at all, and asks it for them.

Python 3.11, standard library only.
"""
import hashlib
import http.client
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.parse

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
WAIT_S = 300


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Upstream(http.server.ThreadingHTTPServer):
    """Has blobs and manifests; `how` says per digest what is done instead of sending a blob."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs, self.manifests, self.how = {}, {}, {}
        self.referrers = {}
        self.log, self.lock, self.tags = [], threading.Lock(), None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def add(self, data, how=None):
        self.blobs[sha256(data)] = data
        self.how[sha256(data)] = how
        return sha256(data)

    def count(self, method, what):
        with self.lock:
            return sum(1 for m, path in self.log if m == method and path.endswith(what))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def head(self, status, size, **more):
        self.send_response(status)
        self.send_header("Content-Length", str(size))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        with self.server.lock:
            self.server.log.append((self.command, self.path))
        name = self.path.rsplit("/", 1)[1]
        if "/referrers/" in self.path:
            found = self.server.referrers.get(name.split("?")[0], [])
            body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": found}).encode()
            self.head(200, len(body), Content_Type=INDEX)
            self.wfile.write(body)
            return
        if "/tags/list" in self.path and self.server.tags:
            self.tags()
            return
        if "/manifests/" in self.path and name in self.server.manifests:
            data = self.server.manifests[name]
            self.head(200, len(data), Content_Type=MANIFEST, Docker_Content_Digest=sha256(data))
            if self.command == "GET":
                self.wfile.write(data)
        elif "/blobs/" in self.path and name in self.server.blobs:
            self.blob(self.server.blobs[name], self.server.how[name])
        else:
            self.head(404, 0)

    def tags(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        rest = [t for t in self.server.tags if t > query.get("last", [""])[0]]
        body = json.dumps({"name": "x", "tags": rest[:2]}).encode()
        link = {"Link": f'</v2/some/tags/tags/list?last={rest[1]}>; rel="next"'} if rest[2:] else {}
        self.head(200, len(body), **link)
        self.wfile.write(body)

    def blob(self, data, how):
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        if asked:
            self.head(206, len(data) - start,
                      Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.head(200, len(data))
        if self.command == "HEAD":
            return
        if how:
            how(self, data, start)
        else:
            self.wfile.write(data[start:])


class Registry:
    """cooper serve, as long as it is needed."""

    def __init__(self, cooper, store, upstream, *options):
        self.process = subprocess.Popen(
            [cooper, "--root", store, "serve", "--listen", "127.0.0.1:0", "--upstream",
             f"http://127.0.0.1:{upstream.server_port}", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.address = re.search(r" at http://([^ ]*) as ", line)[1]

    def ask(self, method, path, **headers):
        client = http.client.HTTPConnection(self.address, timeout=WAIT_S)
        client.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        return client.getresponse()

    def need(self, status, method, path, **headers):
        answer = self.ask(method, path, **headers)
        data = answer.read()
        assert answer.status == status, (method, path, answer.status, data[:500])
        return answer, data

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        _, complaints = self.process.communicate(timeout=WAIT_S)
        assert self.process.returncode == 0, complaints
        return complaints


def files(store):
    return [name for name in os.listdir(os.path.join(store, "ingest")) if not name.startswith(".")]


def check_streaming(upstream, registry, store):
    """The first half is with the client before the upstream has sent the second."""
    data, go = os.urandom(3_000_000), threading.Event()

    def slowly(handler, data, start):
        handler.wfile.write(data[start:len(data) // 2])
        assert go.wait(WAIT_S)
        handler.wfile.write(data[len(data) // 2:])

    digest = upstream.add(data, slowly)
    first = registry.ask("GET", f"/v2/slow/blobs/{digest}")
    half = first.read(len(data) // 2)
    assert half == data[:len(half)]
    # Who comes later begins at the beginning, or at the range it wants.
    second = registry.ask("GET", f"/v2/slow/blobs/{digest}")
    third = registry.ask("GET", f"/v2/slow/blobs/{digest}", Range="bytes=100-2500000")
    assert third.status == 206 and third.getheader("Content-Range") == "bytes 100-2500000/3000000"
    assert second.read(1000) == data[:1000] and third.read(1000) == data[100:1100]
    assert not os.path.exists(os.path.join(store, "blobs", *digest.split(":")))
    go.set()
    assert half + first.read() == data
    assert data[:1000] + second.read() == data
    assert data[100:1100] + third.read() == data[100:2500001]
    assert upstream.count("GET", digest) == 1
    registry.need(200, "GET", f"/v2/slow/blobs/{digest}")
    assert upstream.count("GET", digest) == 1


def check_many(upstream, registry):
    """However many want it at once, it is fetched once."""
    data, results = os.urandom(5_000_000), []
    digest = upstream.add(data)

    def pull():
        results.append(registry.need(200, "GET", f"/v2/many/blobs/{digest}")[1] == data)

    threads = [threading.Thread(target=pull) for _ in range(24)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [True] * 24, results
    assert upstream.count("GET", digest) == 1


def check_cut(upstream, registry):
    """What breaks off goes on where it stopped, and the client sees nothing of it."""
    data = os.urandom(2_000_000)

    def cut(handler, data, start):
        handler.wfile.write(data[start:start + 700_000])
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.shutdown(2)

    digest = upstream.add(data, cut)
    assert registry.need(200, "GET", f"/v2/cut/blobs/{digest}")[1] == data
    assert upstream.count("GET", digest) == 3


def check_wrong(upstream, registry, store):
    """Nobody gets a whole blob that is not the one that was asked for, and none is kept."""
    data = os.urandom(1_000_000)

    def wrong(handler, data, start):
        handler.wfile.write(b"x" * (len(data) - start))

    digest = upstream.add(data, wrong)
    for _ in range(2):
        answer = registry.ask("GET", f"/v2/wrong/blobs/{digest}")
        try:
            got = answer.read()
            raise AssertionError(f"{len(got)} bytes were taken for the blob")
        except http.client.IncompleteRead as e:
            assert len(e.partial) < len(data)
    assert not os.path.exists(os.path.join(store, "blobs", *digest.split(":")))
    assert not files(store), files(store)
    # Once the upstream has come to its senses, so has its mirror.
    upstream.how[digest] = None
    assert registry.need(200, "GET", f"/v2/wrong/blobs/{digest}")[1] == data


def check_heads(upstream, registry):
    """A HEAD fetches nothing; odd ranges and empty blobs are answered."""
    data = os.urandom(50_000)
    digest, empty = upstream.add(data), upstream.add(b"")
    answer, _ = registry.need(200, "HEAD", f"/v2/head/blobs/{digest}")
    assert answer.getheader("Content-Length") == "50000"
    assert upstream.count("GET", digest) == 0
    registry.need(404, "HEAD", "/v2/head/blobs/" + sha256(b"nothing of the kind"))
    registry.need(404, "GET", "/v2/head/blobs/" + sha256(b"nothing of the kind"))
    registry.need(416, "GET", f"/v2/head/blobs/{digest}", Range="bytes=50000-")
    _, body = registry.need(206, "GET", f"/v2/head/blobs/{digest}", Range="bytes=-10")
    assert body == data[-10:]
    assert registry.need(200, "GET", f"/v2/head/blobs/{empty}")[1] == b""
    # Whoever goes away does not end it for the others.
    assert registry.need(200, "GET", f"/v2/head/blobs/{digest}")[1] == data


def check_manifests(upstream, registry):
    """Of many who ask for a tag, one asks the upstream; what the upstream says wrongly is not taken."""
    config = b"{}"
    upstream.add(config)
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
        "config": {"mediaType": CONFIG, "size": 2, "digest": sha256(config)}}).encode()
    upstream.manifests["v"] = upstream.manifests[sha256(manifest)] = manifest
    results = []

    def pull():
        answer, body = registry.need(200, "GET", "/v2/some/app/manifests/v")
        results.append((body, answer.getheader("Docker-Content-Digest")))

    threads = [threading.Thread(target=pull) for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(results) == {(manifest, sha256(manifest))}
    assert upstream.count("HEAD", "/some/app/manifests/v") == 1
    assert upstream.count("GET", sha256(manifest)) == 1
    registry.need(200, "GET", f"/v2/some/app/manifests/{sha256(manifest)}")
    assert upstream.count("GET", sha256(manifest)) == 1
    registry.need(404, "GET", "/v2/some/app/manifests/none")
    registry.need(404, "GET", "/v2/some/app/manifests/" + sha256(b"none"))
    upstream.manifests[sha256(b"another")] = manifest
    registry.need(502, "GET", "/v2/some/app/manifests/" + sha256(b"another"))


def check_push(upstream, registry):
    """What a client was told to be there need not be pushed: it is fetched for what names it."""
    config, layer = os.urandom(100), os.urandom(200_000)
    image = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "size": len(config), "digest": upstream.add(config)},
        "layers": [{"mediaType": LAYER, "size": len(layer), "digest": upstream.add(layer)}]}).encode()
    upstream.manifests[sha256(image)] = image
    for name in (sha256(config), sha256(layer)):
        registry.need(200, "HEAD", f"/v2/push/app/blobs/{name}")
    registry.need(200, "HEAD", f"/v2/push/app/manifests/{sha256(image)}")

    def put(tag, digest, size):
        index = json.dumps({
            "schemaVersion": 2, "mediaType": INDEX,
            "manifests": [{"mediaType": MANIFEST, "size": size, "digest": digest}]}).encode()
        client = http.client.HTTPConnection(registry.address, timeout=WAIT_S)
        client.request("PUT", f"/v2/push/app/manifests/{tag}", index, {"Content-Type": INDEX})
        answer = client.getresponse()
        return answer.status, answer.read()

    assert put("all", sha256(image), len(image))[0] == 201
    assert put("wrong", sha256(image), len(image) + 1)[0] == 400
    # It is nowhere, and may be; it is not if the upstream only fails to say so.
    assert put("none", sha256(b"none"), 4)[0] == 201
    registry.need(404, "GET", f"/v2/push/app/manifests/{sha256(b'none')}")
    upstream.manifests[sha256(b"lie")] = image
    status, body = put("lie", sha256(b"lie"), 3)
    assert status == 404 and b"MANIFEST_BLOB_UNKNOWN" in body, body
    assert registry.need(200, "GET", f"/v2/push/app/blobs/{sha256(layer)}")[1] == layer
    assert upstream.count("GET", sha256(layer)) == 1


def check_tags(upstream, registry):
    """The upstream's tags, page by page, though it gives two at a time."""
    upstream.tags = ["a", "b", "c", "d", "e"]
    answer, body = registry.need(200, "GET", "/v2/some/tags/tags/list?n=3")
    assert json.loads(body)["tags"] == ["a", "b", "c"] and "last=c" in answer.getheader("Link")
    answer, body = registry.need(200, "GET", "/v2/some/tags/tags/list?n=3&last=c")
    assert json.loads(body)["tags"] == ["d", "e"] and not answer.getheader("Link")
    upstream.tags = None
    registry.need(404, "GET", "/v2/some/tags/tags/list")


def check_referrers(upstream, registry):
    """What refers to an image is told, whether here or there."""
    subject = sha256(b"subject")
    listed = {"mediaType": MANIFEST, "size": 5, "digest": sha256(b"there"),
              "artifactType": "application/x-signature"}
    upstream.referrers[subject] = [listed]
    _, body = registry.need(200, "GET", f"/v2/some/app/referrers/{subject}")
    assert json.loads(body)["manifests"] == [listed], body
    _, body = registry.need(200, "GET", f"/v2/some/app/referrers/{subject}?artifactType=x")
    assert json.loads(body)["manifests"] == [], body
    _, body = registry.need(200, "GET", f"/v2/some/app/referrers/{sha256(b'other')}")
    assert json.loads(body)["manifests"] == [], body


def check_stop(upstream, cooper, store):
    """A transfer that never ends does not keep the server from ending."""
    started, never = threading.Event(), threading.Event()

    def hang(handler, data, start):
        handler.wfile.write(data[:1000])
        handler.wfile.flush()
        started.set()
        never.wait(WAIT_S)

    digest = upstream.add(os.urandom(100_000), hang)
    registry = Registry(cooper, store, upstream, "--grace", "1")
    try:
        answer = registry.ask("GET", f"/v2/hang/blobs/{digest}")
        assert started.wait(WAIT_S) and answer.read(10)
        registry.stop()
    finally:
        registry.process.kill()
        registry.process.wait()
        never.set()
    assert not files(store), files(store)


def check_all(upstream, registry, store):
    check_streaming(upstream, registry, store)
    check_many(upstream, registry)
    check_cut(upstream, registry)
    check_heads(upstream, registry)
    check_manifests(upstream, registry)
    check_push(upstream, registry)
    check_tags(upstream, registry)
    check_referrers(upstream, registry)
    check_wrong(upstream, registry, store)
    complaints = registry.stop()
    assert ": wrong: blob sha256:" in complaints, complaints


def main():
    cooper, store = sys.argv[1:]
    upstream = Upstream()
    registry = Registry(cooper, store, upstream)
    try:
        check_all(upstream, registry, store)
    finally:
        registry.process.kill()
        registry.process.wait()
    check_stop(upstream, cooper, store)


if __name__ == "__main__":
    main()
