#!/usr/bin/env python3
"""A registry that wants to do harm, and cooper against it.

    hostile_registry.py all COOPER DIR [CASE...]
    hostile_registry.py private COOPER DIR    in a network of its own, with PUBLIC and PRIVATE

Each case is a repository of its own; it is pulled, and where it says so built from. Cooper has to
end by itself with one error that says what is wrong, in bounded memory, and leave no image, nothing
half and nothing wrong in its store.

Python 3.11, standard library only.
"""
import gzip
import hashlib
import http.server
import io
import json
import os
import re
import socket
import subprocess
import sys
import tarfile
import threading
import time

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
TIME_LIMIT = 600
MEMORY_LIMIT = 96 << 20  # of the process; what is left of it are libraries
MIB = 1 << 20
PUBLIC = "203.0.113.5"
PRIVATE = "10.9.8.7"  # inside.test, too


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def dumps(value):
    return json.dumps(value, separators=(",", ":")).encode()


def described(media_type, data, **more):
    return {"mediaType": media_type, "digest": digest(data), "size": len(data)} | more


def tar_of(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Image:
    """What an honest registry would have of it."""

    def __init__(self, tar=None, **manifest):
        self.tar = tar if tar is not None else tar_of(("hello", b"hello" * 40000))
        self.layer = gzip.compress(self.tar, 1)
        self.config = dumps({"architecture": "amd64", "os": "linux", "config": {},
                             "rootfs": {"type": "layers", "diff_ids": [digest(self.tar)]}})
        self.document = {"schemaVersion": 2, "mediaType": MANIFEST,
                         "config": described(CONFIG, self.config),
                         "layers": [described(LAYER, self.layer)]} | manifest

    @property
    def manifest(self):
        return dumps(self.document)

    def blobs(self):
        return {digest(b): b for b in (self.config, self.layer)}


class Case:
    """By default all is as it should be. `want` is what the error has to say."""

    def __init__(self, name, want, builds=False, image=None, stall=None):
        self.name = name
        self.want = want
        self.builds = builds
        self.image = image or Image()
        self.stall = stall

    def manifest(self, q, reference):
        data = self.image.manifest
        q.answer(200, data, {"Content-Type": json.loads(data).get("mediaType", MANIFEST),
                             "Docker-Content-Digest": digest(data)})

    def blob(self, q, name):
        data = self.image.blobs().get(name)
        q.answer(200 if data is not None else 404, data or b"")

    def is_layer(self, name):
        return name == digest(self.image.layer)


CASES = []


def case(want, **options):
    """A function becomes the answer to requests for blobs (or manifests) of a case; what it does
    not answer (it returns False) is answered as it should be."""
    def add(function):
        kind = options.pop("kind", "layer")
        made = Case(function.__name__.replace("_", "-"), want, **options)
        usual_manifest, usual_blob = made.manifest, made.blob

        def manifest(q, reference):
            if kind != "manifest" or function(made, q, reference) is False:
                usual_manifest(q, reference)

        def blob(q, name):
            wanted = kind == "blob" or (kind == "layer" and made.is_layer(name))
            if not wanted or function(made, q, name) is False:
                usual_blob(q, name)

        made.manifest, made.blob = manifest, blob
        CASES.append(made)
        return function
    return add


# --- Blobs that are not what was promised ---

@case("content has digest sha256:.*, not sha256:")
def other_bytes(c, q, name):
    q.answer(200, b"x" * len(c.image.layer))


@case("longer than the [0-9]+ bytes")
def one_byte_more(c, q, name):
    q.answer(200, c.image.layer + b"x")


@case("ends after [0-9]+ of [0-9]+ bytes")
def one_byte_less(c, q, name):
    q.answer(200, c.image.layer[:-1])


@case("longer than the [0-9]+ bytes")
def endless_body(c, q, name):
    q.head(200, {"Transfer-Encoding": "chunked"})
    while q.put(b"100000\r\n" + b"\0" * MIB + b"\r\n"):
        pass


@case("transfer closed|ends after|Recv failure|reset")
def content_length_too_large(c, q, name):
    q.head(200, {"Content-Length": str(len(c.image.layer) + 100)})
    q.put(c.image.layer)
    q.close_connection = True


@case("ends after 10 of")
def content_length_too_small(c, q, name):
    q.head(200, {"Content-Length": "10"})
    q.put(c.image.layer)
    q.close_connection = True


@case("longer than|[Ll]ength|transfer closed|ends after")
def content_length_beyond_numbers(c, q, name):
    q.head(200, {"Content-Length": "99999999999999999999999999"})
    q.put(c.image.layer[:100])
    q.close_connection = True


@case("headers have more than|[Hh]eader|too large")
def endless_headers(c, q, name):
    q.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while q.put(b"X-More: " + b"y" * 8000 + b"\r\n"):
        pass


@case("another part than asked for|content has digest|ends after")
def part_of_something_else(c, q, name):
    if "Range" not in q.headers:
        q.head(200, {"Content-Length": str(len(c.image.layer))})
        q.put(c.image.layer[:100])
        q.close_connection = True
        return
    q.head(206, {"Content-Length": "10", "Content-Range": "bytes 5-14/15"})
    q.put(b"0123456789")


# --- Large blobs, which are asked for in parts ---

LARGE = 80 * MIB


def large():
    """What its manifest says is all that there is of it."""
    image = Image()
    image.document["layers"][0]["size"] = LARGE
    return image


def asked_for(q):
    """The first byte and the one after the last, or None for the whole."""
    bounds = re.fullmatch(r"bytes=(\d+)-(\d*)", q.headers.get("Range", ""))
    return (int(bounds[1]), int(bounds[2] or LARGE - 1) + 1) if bounds else None


def begin_part(q, first, end, **more):
    q.head(206, {"Content-Range": f"bytes {first}-{end - 1}/{LARGE}"} | more)


@case("longer than the [0-9]+ bytes", image=large())
def endless_parts(c, q, name):
    part = asked_for(q)
    chunked = {"Transfer-Encoding": "chunked"}
    if part:
        begin_part(q, *part, **chunked)
    else:
        q.head(200, chunked)
    while q.put(b"100000\r\n" + b"\0" * MIB + b"\r\n"):
        pass


@case("content has digest", image=large())
def parts_of_other_bytes(c, q, name):
    first, end = asked_for(q) or (0, LARGE)
    begin_part(q, first, end, **{"Content-Length": str(end - first)})
    q.put(b"\0" * (end - first))


@case("ends after|another part", image=large())
def parts_from_elsewhere_and_no_whole(c, q, name):
    part = asked_for(q)
    if not part:
        q.answer(200, b"\0" * MIB)
        return
    first, end = part
    begin_part(q, first + (first > 0), end, **{"Content-Length": str(end - first)})
    q.put(b"\0" * (end - first))


@case("too slow|timed out", image=large(), stall="1")
def parts_that_never_come(c, q, name):
    first, end = asked_for(q) or (0, LARGE)
    begin_part(q, first, end, **{"Content-Length": str(end - first)})
    if first == 0:
        q.put(b"\0" * (end - first))
        return
    while q.put(b"\0"):
        time.sleep(0.3)


@case("too slow|timed out", stall="1")
def slow_drip(c, q, name):
    q.head(200, {"Content-Length": str(len(c.image.layer))})
    for byte in c.image.layer:
        if not q.put(bytes([byte])):
            return
        time.sleep(0.2)


@case("too slow|timed out", kind="manifest", stall="1")
def slow_drip_of_headers(c, q, reference):
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X-More: y\r\n" * 10000:
        if not q.put(bytes([byte])):
            return
        time.sleep(0.2)


# --- Redirects ---

@case("redirected more than 10 times", kind="manifest")
def redirect_loop(c, q, reference):
    q.answer(307, b"", {"Location": q.path})


@case("redirect", kind="blob")
def redirect_to_a_file(c, q, name):
    q.answer(307, b"", {"Location": "file:///etc/passwd"})


@case("redirect", kind="blob")
def redirect_to_gopher(c, q, name):
    q.answer(307, b"", {"Location": "gopher://127.0.0.1:70/x"})


@case("redirect", kind="blob")
def redirect_with_control_characters(c, q, name):
    q.head(307, {"Location": "http://127.0.0.1:1/\x01\x1b[31m", "Content-Length": "0"})


@case("plain http to 192.0.2.1 is refused", kind="blob")
def redirect_to_plain_http_elsewhere(c, q, name):
    q.answer(307, b"", {"Location": "http://192.0.2.1/x"})


# --- Documents ---

@case("more than 4194304 bytes", kind="manifest")
def manifest_of_five_mebibytes(c, q, reference):
    big = c.image.manifest[:-1] + b',"annotations":{"a":"' + b"x" * (5 * MIB) + b'"}}'
    q.answer(200, big, {"Content-Type": MANIFEST, "Docker-Content-Digest": digest(big)})


@case("more than 4194304 bytes", kind="manifest")
def endless_manifest(c, q, reference):
    q.head(200, {"Content-Type": MANIFEST, "Transfer-Encoding": "chunked"})
    while q.method == "GET" and q.put(b"100000\r\n" + b" " * MIB + b"\r\n"):
        pass


@case("digest", kind="manifest")
def manifest_of_another_digest(c, q, reference):
    q.answer(200, c.image.manifest, {"Content-Type": MANIFEST,
                                     "Docker-Content-Digest": "sha256:" + "1" * 64})


@case("malformed digest", kind="manifest")
def digest_that_climbs(c, q, reference):
    q.answer(200, c.image.manifest, {"Content-Type": MANIFEST,
                                     "Docker-Content-Digest": "sha256:../../../etc/passwd"})


def serve_document(q, document):
    data = dumps(document)
    q.answer(200, data, {"Content-Type": document["mediaType"],
                         "Docker-Content-Digest": digest(data)})


def layers_replaced(c, **changes):
    return c.image.document | {"layers": [c.image.document["layers"][0] | changes]}


@case("digest", kind="manifest")
def layer_whose_digest_climbs(c, q, reference):
    serve_document(q, layers_replaced(c, digest="sha256:../../../../etc/shadow"))


@case("size", kind="manifest")
def layer_of_negative_size(c, q, reference):
    serve_document(q, layers_replaced(c, size=-5))


@case("more than [0-9]+", kind="manifest")
def config_of_a_terabyte(c, q, reference):
    serve_document(q, c.image.document | {"config": c.image.document["config"] |
                                          {"size": 1 << 40}})


@case("more than|layers", kind="manifest")
def ten_thousand_layers(c, q, reference):
    serve_document(q, c.image.document | {"layers": c.image.document["layers"] * 10000})


@case("nest|deep", kind="manifest")
def nested_without_end(c, q, reference):
    data = b'{"schemaVersion":2,"mediaType":"' + MANIFEST.encode() + b'","config":' + \
        b"[" * 200000 + b"]" * 200000 + b"}"
    q.answer(200, data, {"Content-Type": MANIFEST, "Docker-Content-Digest": digest(data)})


INDEXES = {}


def index_tower(height):
    """Indexes within indexes, the outermost last."""
    below = described(MANIFEST, Image().manifest, platform={"architecture": "amd64", "os": "linux"})
    for _ in range(height):
        data = dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [below]})
        INDEXES[digest(data)] = data
        below = described(INDEX, data, platform={"architecture": "amd64", "os": "linux"})
    return data


TOWER = index_tower(50)


@case("deep", kind="manifest")
def indexes_within_indexes(c, q, reference):
    data = INDEXES.get(reference, TOWER)
    q.answer(200, data, {"Content-Type": INDEX, "Docker-Content-Digest": digest(data)})


@case("no image for platform", kind="manifest")
def platform_that_speaks_to_the_terminal(c, q, reference):
    serve_document(q, {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        described(MANIFEST, c.image.manifest,
                  platform={"architecture": "\x1b[31mx\x07", "os": "linux"})]})


@case("status 400", kind="manifest")
def error_that_speaks_to_the_terminal(c, q, reference):
    q.answer(400, dumps({"errors": [{"code": "\x1b[31mRED", "message": "\x1b]0;title\x07\r\n" +
                                     "cooper: error: another one"}]}))


# --- Layers ---

def small_bomb():
    """Half a gigabyte of bytes that are no zeros, where the config says that it is less."""
    made = Image()
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as z:
        info = tarfile.TarInfo("bomb")
        info.size = 64 << 40
        info.mode = 0o644
        z.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            z.write(b"x" * MIB)
    made.layer = out.getvalue()
    made.document["layers"] = [described(LAYER, made.layer)]
    return made


@case("at most", builds=True, image=small_bomb())
def decompression_bomb(c, q, name):
    return False


def wrong_diff_id():
    made = Image()
    made.layer = gzip.compress(tar_of(("other", b"y" * 300000)), 1)
    made.document["layers"] = [described(LAYER, made.layer)]
    return made


@case("not the diffID", builds=True, image=wrong_diff_id())
def layer_of_another_diff_id(c, q, name):
    return False


def climbing(name):
    return Image(tar_of(("fill", os.urandom(200000)), (name, b"x")))


@case(r"'\.\./\.\./escaped'|\.\.", builds=True, image=climbing("../../escaped"))
def name_that_climbs(c, q, name):
    return False


@case("digest|content has", builds=True)
def layer_changed_on_the_way(c, q, name):
    data = bytearray(c.image.layer)
    data[len(data) // 2] ^= 1
    q.answer(200, bytes(data))


# --- The registry ---

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 300

    def log_message(self, *args):
        pass

    def handle(self):
        # No TLS here, and no waiting for the end of what would be a line.
        if self.connection.recv(1, socket.MSG_PEEK) != b"\x16":
            super().handle()

    def head(self, status, headers):
        lines = ["HTTP/1.1 %d Answer" % status] + ["%s: %s" % h for h in headers.items()]
        self.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def put(self, data):
        """False once the client has gone."""
        try:
            self.wfile.write(data)
            self.wfile.flush()
            return True
        except OSError:
            self.close_connection = True
            return False

    def answer(self, status, data, headers=None):
        self.head(status, {"Content-Length": str(len(data))} | (headers or {}))
        if self.method == "GET":
            self.put(data)

    def do_GET(self):
        self.method = self.command
        try:
            self.serve()
        except OSError:
            self.close_connection = True

    do_HEAD = do_GET

    def serve(self):
        parts = re.fullmatch(r"/v2/([^/]*)/(manifests|blobs)/(.*)", self.path)
        found = [c for c in CASES if parts and c.name == parts[1]]
        if not found:
            self.answer(200 if self.path == "/v2/" else 404, b"")
        elif parts[2] == "manifests":
            found[0].manifest(self, parts[3])
        else:
            found[0].blob(self, parts[3])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


# --- Cooper against it ---

class Failed(Exception):
    pass


def require(condition, *what):
    if not condition:
        raise Failed(" ".join(str(w) for w in what))


def run(command, top, stall=None, **more):
    """Status, output, largest memory."""
    environment = os.environ | more
    if stall:
        environment["COOPER_STALL_TIMEOUT"] = stall
    with open(top + "/out", "w+b") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   env=environment)
        watch = threading.Timer(TIME_LIMIT, process.kill)
        watch.start()
        _, status, used = os.wait4(process.pid, 0)
        watch.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return process.returncode, out.read(), used.ru_maxrss * 1024


def check_store(cooper, store):
    here = os.path.dirname(os.path.abspath(__file__))
    done = subprocess.run([sys.executable, here + "/store.py", store], capture_output=True,
                          text=True, timeout=TIME_LIMIT)
    require(done.returncode == 0, "the store is not whole:", done.stdout, done.stderr)
    listed = subprocess.run([cooper, "--root", store, "images", "-q"], capture_output=True,
                            text=True, timeout=TIME_LIMIT)
    require(listed.returncode == 0 and not listed.stdout, "there is an image:", listed.stdout)
    for directory in ("ingest", "layers"):
        require(not os.listdir(f"{store}/{directory}"), "something is left in", directory)


def memory_limit(cooper):
    """AddressSanitizer keeps what is freed for a while."""
    with open(cooper, "rb") as f:
        return MEMORY_LIMIT * (16 if b"__asan_init" in f.read() else 1)


def check_case(cooper, top, address, c):
    store = f"{top}/{c.name}"
    name = f"{address}/{c.name}:1"
    command = [cooper, "--root", store, "pull", name]
    if c.builds:
        os.makedirs(top + "/context", exist_ok=True)
        with open(top + "/context/Dockerfile", "w", encoding="ascii") as f:
            f.write(f"FROM {name}\nRUN [\"/hello\"]\n")
        command = [cooper, "--root", store, "build", "-q", top + "/context"]
    status, out, memory = run(command, top, c.stall)
    require(status == 1, "it ended with", status, out)
    text = out.decode(errors="replace")
    errors = [line for line in text.splitlines() if line.startswith("cooper: error: ")]
    require(len(errors) == 1, "no error, or several:", text)
    require(re.search(c.want, errors[0]), f"not said: {c.want} in: {errors[0]}")
    require(not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", out), "it speaks to the terminal:", out)
    require(memory < memory_limit(cooper), "it took", memory >> 20, "MiB")
    check_store(cooper, store)


def check_private(cooper, top, port):
    """From a public address nobody leads into a private network, whatever he calls it."""
    made = Case("led-inside", None)
    CASES.append(made)
    pull = [cooper, "--root", top + "/store", "pull", f"{PUBLIC}:{port}/{made.name}:1"]
    for inside in (PRIVATE, "inside.test"):
        made.blob = lambda q, name, host=inside: q.answer(
            307, b"", {"Location": f"https://{host}:{port}{q.path}"})
        status, out, _ = run(pull, top, COOPER_INSECURE_REGISTRIES=PUBLIC)
        require(status == 1 and b"into a private network" in out, inside, status, out)
    check_store(cooper, top + "/store")
    made.blob = lambda q, name: Case.blob(made, q, name) if q.headers["Host"].startswith(PRIVATE) \
        else q.answer(307, b"", {"Location": f"http://{PRIVATE}:{port}{q.path}"})
    status, out, _ = run(pull, top, COOPER_INSECURE_REGISTRIES=f"{PUBLIC},{PRIVATE}")
    require(status == 0, "a host that is listed may be led to:", out)


def main():
    what, cooper, top = sys.argv[1:4]
    server = Server(("0.0.0.0" if what == "private" else "127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    os.makedirs(top, exist_ok=True)
    if what == "private":
        check_private(cooper, top, port)
        return
    failures = 0
    for c in CASES:
        if sys.argv[4:] and c.name not in sys.argv[4:]:
            continue
        try:
            check_case(cooper, top, f"127.0.0.1:{port}", c)
            print("ok", c.name, flush=True)
        except Failed as e:
            failures += 1
            print("not ok", c.name + ":", e, flush=True)
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
