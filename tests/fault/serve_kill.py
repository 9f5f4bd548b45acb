#!/usr/bin/env python3
"""Kills `cooper serve` while clients push: serve_kill.py COOPER STORE ROUNDS

After each kill a new server must show every blob, manifest and tag that was acknowledged, whole;
and what else it shows must be whole too. A push whose answer never came may have happened or not.

Python 3.11, standard library only.
"""
import hashlib
import http.client
import json
import os
import random
import re
import secrets
import subprocess
import sys
import threading
import time

IMAGE = "application/vnd.oci.image.manifest.v1+json"
CLIENTS = 4


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Server:
    def __init__(self, cooper, store):
        self.process = subprocess.Popen(
            [cooper, "--root", store, "serve", "--listen", "127.0.0.1:0", "--name",
             "killed.test:5000"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.address = re.search(r"http://([^ ]*):(\d+) ", line).groups()

    def connect(self):
        return http.client.HTTPConnection(self.address[0], int(self.address[1]), timeout=120)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def ask(connection, method, path, body=None, **headers):
    headers = {k.replace("_", "-"): v for k, v in headers.items()}
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    return answer, answer.read()


class Record:
    """What was acknowledged. A tag that was to move when the server died may point to either;
    None is a tag that does not exist."""

    def __init__(self):
        self.lock = threading.Lock()
        self.blobs = {}
        self.manifests = {}
        self.tags = {}
        self.answers = 0

    def acknowledged(self, kind, key, value):
        with self.lock:
            getattr(self, kind)[key] = value
            self.answers += 1


def push(server, record, number, round_number):
    repo = f"r{number}"
    connection = server.connect()
    try:
        for n in range(1000):
            named = []
            config = json.dumps({"n": secrets.token_hex(20)}).encode()
            for data in (config, secrets.token_bytes(random.randrange(200000))):
                size = len(data)
                answer, _ = ask(connection, "POST", f"/v2/{repo}/blobs/uploads/", b"")
                where = answer.headers["Location"]
                if n % 2:
                    half = size // 2
                    ask(connection, "PATCH", where, data[:half])
                    rest = data[half:]
                else:
                    rest = data
                answer, _ = ask(connection, "PUT", f"{where}?digest={digest(data)}", rest)
                if answer.status != 201:
                    raise RuntimeError(f"a blob was answered with {answer.status}")
                record.acknowledged("blobs", (repo, digest(data)), size)
                named.append({"mediaType": "application/octet-stream", "digest": digest(data),
                              "size": size})
            document = json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "config": named[0],
                                   "layers": named[1:]}).encode()
            tag = f"t{n % 3}"
            with record.lock:
                before = record.tags.get((repo, tag), [None])
                record.tags[(repo, tag)] = before[-1:] + [digest(document)]
            answer, body = ask(connection, "PUT", f"/v2/{repo}/manifests/{tag}", document,
                               Content_Type=IMAGE)
            if answer.status != 201:
                raise RuntimeError(f"a manifest was answered with {answer.status}: {body}")
            record.acknowledged("manifests", (repo, digest(document)), document)
            record.acknowledged("tags", (repo, tag), [digest(document)])
    except (OSError, http.client.HTTPException):
        pass  # killed
    finally:
        connection.close()


def check(server, record):
    connection = server.connect()

    def fetch(path):
        answer, body = ask(connection, "GET", path)
        return body if answer.status == 200 else None

    for (repo, d), size in record.blobs.items():
        body = fetch(f"/v2/{repo}/blobs/{d}")
        if body is None or len(body) != size or digest(body) != d:
            raise SystemExit(f"lost or damaged: blob {d} of {repo}")
    for (repo, d), document in record.manifests.items():
        if fetch(f"/v2/{repo}/manifests/{d}") != document:
            raise SystemExit(f"lost or damaged: manifest {d} of {repo}")
    for (repo, tag), allowed in record.tags.items():
        body = fetch(f"/v2/{repo}/manifests/{tag}")
        now = None if body is None else digest(body)
        if now not in allowed:
            raise SystemExit(f"lost or moved: {repo}:{tag}")
        # Which of the two it is, is settled now.
        record.tags[(repo, tag)] = [now]
        if now is None:
            continue
        for named in [json.loads(body)["config"], *json.loads(body)["layers"]]:
            data = fetch(f"/v2/{repo}/blobs/{named['digest']}")
            if data is None or digest(data) != named["digest"]:
                raise SystemExit(f"{repo}:{tag} is not whole")
    for repo in {repo for repo, _ in record.tags}:
        listed = json.loads(fetch(f"/v2/{repo}/tags/list") or b'{"tags": []}')["tags"]
        for tag in listed:
            if record.tags.get((repo, tag), [None]) == [None]:
                raise SystemExit(f"nobody pushed {repo}:{tag}")
    connection.close()


def left_over(store):
    return os.listdir(os.path.join(store, "ingest"))


def main():
    cooper, store, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    random.seed(7)
    record = Record()
    for n in range(rounds):
        server = Server(cooper, store)
        if left_over(store):
            raise SystemExit("an upload of the killed server is left")
        check(server, record)
        # What was checked is not asked for again: only its tags.
        record.blobs.clear()
        record.manifests.clear()
        threads = [threading.Thread(target=push, args=(server, record, i, n))
                   for i in range(CLIENTS)]
        before = record.answers
        for t in threads:
            t.start()
        # From the first request on, at any moment of the pushes.
        while n % 4 and record.answers - before < random.randrange(30):
            time.sleep(0.001)
        time.sleep(random.random() / 50)
        server.kill()
        for t in threads:
            t.join()
    server = Server(cooper, store)
    check(server, record)
    server.kill()
    print(f"{rounds} kills, {record.answers} answers")
    if record.answers < rounds:
        raise SystemExit("too little was acknowledged for this to mean anything")


if __name__ == "__main__":
    main()
