#!/usr/bin/env python3
"""Many clients at once: serve_many.py HOST:PORT [--clients N] [--rounds N] [--seconds S]

Each pushes images of its own and pulls what it pushed, over connections that stay; all push to
one tag as well, of which exactly one may be the first. Any answer that is not as it should be
ends the program with 1.

Python 3.11, standard library only.
"""
import argparse
import hashlib
import http.client
import json
import re
import secrets
import sys
import threading
import time

IMAGE = "application/vnd.oci.image.manifest.v1+json"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Client:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.connection = http.client.HTTPConnection(host, int(port), timeout=300)

    def do(self, method, path, body=None, expect=200, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        self.connection.request(method, path, body=body, headers=headers)
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status not in (expect if isinstance(expect, tuple) else (expect,)):
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:200]}")
        return answer, data

    def push_blob(self, repo, data):
        answer, _ = self.do("POST", f"/v2/{repo}/blobs/uploads/", b"", 202)
        where = re.sub("^https?://[^/]*", "", answer.headers["Location"])
        self.do("PUT", f"{where}{'&' if '?' in where else '?'}digest={digest(data)}", data, 201)
        return {"mediaType": "application/octet-stream", "digest": digest(data), "size": len(data)}

    def push_image(self, repo, tag, shared):
        config = json.dumps({"n": secrets.token_hex(8)}).encode()
        document = json.dumps({
            "schemaVersion": 2, "mediaType": IMAGE,
            "config": dict(self.push_blob(repo, config),
                           mediaType="application/vnd.oci.image.config.v1+json"),
            "layers": [self.push_blob(repo, shared), self.push_blob(repo, secrets.token_bytes(9000))],
        }).encode()
        self.do("PUT", f"/v2/{repo}/manifests/{tag}", document, 201, Content_Type=IMAGE)
        return document

    def pull_image(self, repo, tag, document):
        _, got = self.do("GET", f"/v2/{repo}/manifests/{tag}", Accept=IMAGE)
        if got != document:
            raise RuntimeError(f"{repo}:{tag} is not what was pushed")
        parsed = json.loads(got)
        for d in [parsed["config"], *parsed["layers"]]:
            _, data = self.do("GET", f"/v2/{repo}/blobs/{d['digest']}")
            if digest(data) != d["digest"]:
                raise RuntimeError(f"{repo}: blob {d['digest']} is damaged")


def work(number, arguments, shared, result):
    try:
        client = Client(arguments.address)
        repo = f"many/{arguments.run}/{number % 16}"
        end = time.monotonic() + arguments.seconds
        round_number = 0
        while round_number < arguments.rounds or time.monotonic() < end:
            tag = f"c{number}-{round_number}"
            client.pull_image(repo, tag, client.push_image(repo, tag, shared))
            result["images"] += 1
            round_number += 1
        if arguments.no_first:
            return
        document = client.push_image(f"many/{arguments.run}/one", f"own{number}", shared)
        answer, _ = client.do("PUT", f"/v2/many/{arguments.run}/one/manifests/first", document,
                              (201, 412), Content_Type=IMAGE, If_None_Match="*")
        result["won"] = answer.status == 201
    except Exception as e:
        result["failure"] = repr(e)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--no-first", action="store_true",
                        help="for registries without conditional requests")
    arguments = parser.parse_args()
    arguments.run = secrets.token_hex(4)
    shared = secrets.token_bytes(200000)
    results = [{"images": 0} for _ in range(arguments.clients)]
    threads = [threading.Thread(target=work, args=(i, arguments, shared, results[i]))
               for i in range(arguments.clients)]
    begin = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    seconds = time.monotonic() - begin
    images = sum(r["images"] for r in results)
    failures = [r["failure"] for r in results if "failure" in r]
    winners = sum(r.get("won", False) for r in results)
    print(f"{images} images pushed and pulled in {seconds:.2f} s, {images / seconds:.0f} a second")
    for failure in failures[:5]:
        print(failure, file=sys.stderr)
    wanted = 0 if arguments.no_first else 1
    if not failures and winners != wanted:
        print(f"{winners} clients made the tag first", file=sys.stderr)
    sys.exit(bool(failures) or winners != wanted)


if __name__ == "__main__":
    main()
