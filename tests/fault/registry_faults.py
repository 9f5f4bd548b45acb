#!/usr/bin/env python3
"""Pushes and pulls through a network that breaks.

    registry_faults.py random COOPER REGISTRY DIR ROUNDS
        as many images, each pushed and pulled back, under random faults: all must end well or with
        one clear error; the registry must have everything that was pushed, whole, and nothing
        else; so must the stores. FAULT_SEED repeats a run.
    registry_faults.py secured COOPER REGISTRY DIR ROUNDS CERTIFICATE KEY [TOKENS]
        the same with TLS on the way and a registry that wants the password of "me", or, with the
        address of a token server, which fails as well, its tokens
    registry_faults.py parts COOPER REGISTRY DIR
        a large blob whose parts break off again and again arrives whole
    registry_faults.py broken COOPER REGISTRY DIR
        an upload that breaks off is gone on with or begun anew: no session gets bytes twice
    registry_faults.py resume COOPER REGISTRY DIR
        a push killed in the middle of a layer is gone on with by the next one
    registry_faults.py stall COOPER REGISTRY DIR
        a registry that says no more is given up, push and pull

Python 3.11, standard library only.
"""
import base64
import concurrent.futures
import email.utils
import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request

from fault_proxy import FaultProxy

IMAGE = "application/vnd.oci.image.manifest.v1+json"
TIME_LIMIT = 600
PASSWORD = "s3cret/ pass"
BASIC = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()
# Of all operations: the rest may end with an error, as five tries may all fail.
ENOUGH = 0.7


def require(condition, *what):
    if not condition:
        sys.exit("registry_faults: " + " ".join(str(w) for w in what))


class Cooper:
    def __init__(self, program, store, stall="3", environment=None):
        self.program = program
        self.store = store
        self.environment = dict(os.environ, COOPER_STALL_TIMEOUT=stall) | (environment or {})

    def start(self, *words, stdin=subprocess.DEVNULL):
        return subprocess.Popen([self.program, "--root", self.store, *words], stdin=stdin,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.environment)

    def run(self, *words, data=None):
        process = self.start(*words, stdin=subprocess.PIPE)
        out, err = process.communicate(data, timeout=TIME_LIMIT)
        return process.returncode, out.decode(), err.decode()

    def must(self, *words, data=None):
        status, out, err = self.run(*words, data=data)
        require(status == 0, "cooper", *words, "failed:", err)
        return out.strip()

    def make_image(self, name, rng, size):
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as t:
            info = tarfile.TarInfo("data")
            info.size = size
            t.addfile(info, io.BytesIO(rng.randbytes(size)))
        self.must("import", "-", name, data=tar.getvalue())


def anonymous(repository):
    return {}


def basic(repository):
    return {"Authorization": BASIC}


def bearer(tokens):
    def headers(repository):
        request = urllib.request.Request(
            f"http://{tokens}/token?service=test&scope=repository:{repository}:pull",
            headers={"Authorization": BASIC})
        with urllib.request.urlopen(request, timeout=TIME_LIMIT) as answer:
            return {"Authorization": "Bearer " + json.load(answer)["token"]}
    return headers


def get(registry, path, headers):
    request = urllib.request.Request(f"http://{registry}/v2/{path}",
                                     headers=dict(headers, Accept=IMAGE))
    try:
        with urllib.request.urlopen(request, timeout=TIME_LIMIT) as answer:
            return answer.read()
    except urllib.error.HTTPError as e:
        require(e.code == 404, "the registry answers", e.code, "to", path)
        return None


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def check_at_registry(registry, repository, tag, identify=anonymous):
    """Everything that the image names is there, whole; its digests."""
    headers = identify(repository)
    manifest = get(registry, f"{repository}/manifests/{tag}", headers)
    require(manifest is not None, f"{repository}:{tag} was pushed, and is not there")
    found = {digest(manifest)}
    document = json.loads(manifest)
    for blob in [document["config"]] + document["layers"]:
        data = get(registry, f"{repository}/blobs/{blob['digest']}", headers)
        require(data is not None, "lost:", blob["digest"])
        require(len(data) == blob["size"] and digest(data) == blob["digest"], "damaged:",
                blob["digest"])
        found.add(blob["digest"])
    return found


def check_error(what, out, err):
    lines = [line for line in err.splitlines() if line.startswith("cooper: error: ")]
    require(len(lines) == 1 and len(lines[0]) > 30, what, "ended without one clear error:", err)
    require(not re.search("Sanitizer|[Aa]ssert", err), what, "crashed:", err)
    for secret in (PASSWORD, BASIC.split()[1], "eyJ"):
        require(secret not in err, what, "told a secret:", err)


class Chooser:
    """One request in six meets a fault."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.is_on = True
        self.counts = {}

    def statuses(self, q):
        retry = {"Retry-After": self.rng.choice(
            ["0", "1", email.utils.formatdate(time.time() + 1, usegmt=True)])}
        return [("status", 429, retry), ("status", 500, {}), ("status", 502, {}),
                ("status", 503, retry), ("status", 408, {})]

    def faults(self, q):
        all_of = [("cut-answer", self.rng.randrange(2000)), ("lose-answer",)]
        all_of += [self.rng.choice(self.statuses(q))]
        if q.method == "GET" and "/blobs/" in q.path:
            all_of += [("cut-answer", self.rng.randrange(400000))] * 2
        if q.size > 0:
            all_of += [("cut-request", self.rng.randrange(q.size))] * 2
        if q.size > 16 << 10 and "/blobs/" in q.path:
            all_of += [("status", 413, {})]
        if self.rng.random() < 0.05:
            all_of = [("stall-answer", 0)]
        return all_of

    def faults_of_tokens(self, q):
        return [("cut-answer", self.rng.randrange(1000)), ("lose-answer",),
                self.rng.choice(self.statuses(q))]

    def of_tokens(self, q):
        """For the proxy before the token server."""
        return self.choose(q, self.faults_of_tokens)

    def __call__(self, q):
        return self.choose(q, self.faults)

    def choose(self, q, faults):
        if not self.is_on or self.rng.randrange(6):
            return None
        fault = self.rng.choice(faults(q))
        name = " ".join(map(str, fault[:2] if fault[0] == "status" else fault[:1]))
        self.counts[name] = self.counts.get(name, 0) + 1
        return fault


class Run:
    def __init__(self, program, registry, top, seed, identify=anonymous, environment=None):
        self.program = program
        self.identify = identify
        self.environment = environment
        self.registry = registry
        self.top = top
        self.rng = random.Random(seed)
        self.chooser = Chooser(seed)
        self.source = Cooper(program, top + "/source", environment=environment)
        self.expected = set()
        self.lock = threading.Lock()
        self.completed = 0
        self.failed = []

    def note(self, what, status, out, err):
        """True if it ended well."""
        require(status in (0, 1), what, "ended with", status, err)
        if status == 1:
            check_error(what, out, err)
        with self.lock:
            if status == 0:
                self.completed += 1
            else:
                self.failed.append(what + ": " + err.strip().splitlines()[-1])
        return status == 0

    def one(self, proxy, number):
        repository = f"f/{number % 7}"
        name = f"{proxy.address}/{repository}:{number}"
        store = f"{self.top}/pulled{number}"
        if self.note(f"push {number}", *self.source.run("push", "-q", name)):
            blobs = check_at_registry(self.registry, repository, number, self.identify)
            with self.lock:
                self.expected |= blobs
        else:
            return
        puller = Cooper(self.program, store, environment=self.environment)
        if self.note(f"pull {number}", *puller.run("pull", "-q", name)):
            require(puller.must("images", "-q", "--no-trunc") in blobs,
                    "another image was pulled")
        else:
            require(puller.must("images", "-q") == "", "a failed pull left an image")
        check_store(store)
        shutil.rmtree(store)

    def all(self, proxy, rounds):
        for number in range(rounds):
            size = self.rng.randrange(1, 6 << 20 if number % 10 == 0 else 300000)
            self.source.make_image(f"{proxy.address}/f/{number % 7}:{number}", self.rng, size)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for result in [pool.submit(self.one, proxy, n) for n in range(rounds)]:
                result.result()

    def push_the_rest(self, proxy, rounds):
        """Without faults what failed succeeds: nothing stands in its way."""
        self.chooser.is_on = False
        for number in range(rounds):
            name = f"{proxy.address}/f/{number % 7}:{number}"
            self.source.must("push", "-q", name)
            self.expected |= check_at_registry(self.registry, f"f/{number % 7}", number,
                                               self.identify)


def check_store(store):
    checker = os.path.join(os.path.dirname(os.path.abspath(__file__)), "store.py")
    done = subprocess.run([sys.executable, checker, store], capture_output=True, text=True,
                          timeout=TIME_LIMIT)
    require(done.returncode == 0, "the store is not whole:", done.stdout, done.stderr)


def new_seed():
    seed = int(os.environ.get("FAULT_SEED") or random.randrange(1 << 30))
    print("FAULT_SEED=%d" % seed)
    return seed


def go_through(run, proxy, rounds):
    run.all(proxy, rounds)
    print("%d of %d ended well; faults: %s" % (run.completed, 2 * rounds, run.chooser.counts))
    print("\n".join(run.failed))
    run.push_the_rest(proxy, rounds)
    require(sum(run.chooser.counts.values()) > rounds / 4, "hardly any faults")
    require(run.completed >= ENOUGH * 2 * rounds, "too few ended well")
    check_store(run.source.store)
    with open(run.top + "/expected", "w", encoding="ascii") as f:
        f.write("".join(sorted(d + "\n" for d in run.expected)))


def under_faults(program, registry, top, rounds):
    run = Run(program, registry, top, new_seed())
    with FaultProxy(registry, run.chooser) as proxy:
        go_through(run, proxy, rounds)


def secured(program, registry, top, rounds, certificate, key, tokens=None):
    environment = {"SSL_CERT_FILE": certificate, "DOCKER_CONFIG": top, "COOPER_STALL_TIMEOUT": "5"}
    run = Run(program, registry, top, new_seed(), bearer(tokens) if tokens else basic,
              environment)
    known = {}

    def realm(name, value):
        if name.lower() != "www-authenticate" or not tokens:
            return value
        return value.replace(f"http://{tokens}/", f"https://{known['tokens']}/")

    pair = (certificate, key)
    with FaultProxy(registry, run.chooser, pair, realm) as proxy:
        with open(top + "/config.json", "w", encoding="ascii") as f:
            json.dump({"auths": {proxy.address: {"auth": BASIC.split()[1]}}}, f)
        if not tokens:
            go_through(run, proxy, rounds)
            return
        with FaultProxy(tokens, run.chooser.of_tokens, pair) as token_proxy:
            known["tokens"] = token_proxy.address
            go_through(run, proxy, rounds)
            require(len(token_proxy.requests) >= rounds, "hardly any tokens")


def parts(program, registry, top):
    """Every second answer breaks off, somewhere after its first 16 KiB; each part at most three
    times, as all that was sent may be lost with the connection, and five tries are all."""
    rng = random.Random(new_seed())
    name = "f/parts:1"
    cuts = {}

    def choose(q):
        end = q.headers.get("Range", "").rpartition("-")[2]
        if q.method != "GET" or not end or cuts.get(end, 0) == 3 or rng.random() < 0.5:
            return None
        cuts[end] = cuts.get(end, 0) + 1
        return ("cut-answer", rng.randrange(16 << 10, 8 << 20))

    source = Cooper(program, top + "/source")
    source.make_image(f"{registry}/{name}", rng, 70 << 20)
    source.must("push", "-q", f"{registry}/{name}")
    with FaultProxy(registry, choose) as proxy:
        puller = Cooper(program, top + "/pulled", stall="60")
        puller.must("pull", "-q", f"{proxy.address}/{name}")
        cut = sum(1 for q in proxy.requests if q.fault)
        asked = sum(1 for q in proxy.requests if "Range" in q.headers)
        print(f"{asked} parts asked for, {cut} broken off")
        require(asked >= 10, "it did not come in parts")
    require(puller.must("images", "-q", "--no-trunc") == source.must("images", "-q", "--no-trunc"),
            "another image was pulled")
    check_store(puller.store)


def is_body(q):
    return q.method in ("PUT", "PATCH") and "/blobs/uploads/" in q.path and q.size > 0


def broken(program, registry, top):
    cut = []

    def choose(q):
        if not is_body(q) or len(cut) >= 3 or any(q.path.split("?")[0] == c for c in cut):
            return None
        cut.append(q.path.split("?")[0])
        return ("cut-request", q.size // 2)

    source = Cooper(program, top + "/source")
    with FaultProxy(registry, choose) as proxy:
        name = f"{proxy.address}/f/broken:1"
        source.make_image(name, random.Random(), 300000)
        source.must("push", "-q", name)
        check_at_registry(registry, "f/broken", 1)
        require(len(cut) >= 2, "nothing broke off:", cut)
        for q in proxy.requests:
            if is_body(q) and not q.fault and q.path.split("?")[0] in cut:
                require(q.headers.get("Content-Range"), "the same bytes for the same session:", q.path)


def resume(program, registry, top):
    size = 24 << 20
    stop = 10 << 20
    with FaultProxy(registry, lambda q: ("stall-request", stop) if is_body(q) else None) as proxy:
        source = Cooper(program, top + "/source")
        name = f"{proxy.address}/f/resumed:1"
        source.make_image(name, random.Random(), size)
        process = source.start("push", "-q", name)
        while not any(q.received == stop for q in proxy.requests):
            require(process.poll() is None, "the push ended by itself")
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with proxy.lock:
            proxy.choose = lambda q: None
            before = len(proxy.requests)
        source.must("push", "-q", name)
        bodies = [q for q in proxy.requests[before:] if is_body(q) and q.size > 1 << 20]
        require(len(bodies) == 1, "one request should bring the rest, there were", len(bodies))
        require(bodies[0].headers.get("Content-Range", "").startswith(f"{stop}-"),
                "it did not go on where the registry stopped:", bodies[0].headers)
        check_at_registry(registry, "f/resumed", 1)
        left = os.listdir(top + "/source/uploads")
        require(not left, "a session that is over is remembered:", left)


def stall(program, registry, top):
    chosen = {"fault": None}
    with FaultProxy(registry, lambda q: chosen["fault"]) as proxy:
        source = Cooper(program, top + "/source", stall="1")
        name = f"{proxy.address}/f/stalled:1"
        source.make_image(name, random.Random(), 300000)
        for what, cooper in (("push", source), ("pull", Cooper(program, top + "/pulled", stall="1"))):
            chosen["fault"] = ("stall-answer", 0)
            status, out, err = cooper.run(what, name)
            require(status == 1, what, "should have ended")
            check_error(what, out, err)
            require("too slow" in err or "timed out" in err, "not said why:", err)
            chosen["fault"] = None
            cooper.must(what, name)


def main():
    what, program, registry, top = sys.argv[1:5]
    os.makedirs(top, exist_ok=True)
    if what == "random":
        under_faults(program, registry, top, int(sys.argv[5]))
    elif what == "secured":
        secured(program, registry, top, int(sys.argv[5]), *sys.argv[6:])
    else:
        {"broken": broken, "resume": resume, "stall": stall, "parts": parts}[what](program, registry, top)


if __name__ == "__main__":
    main()
