#!/usr/bin/env python3
"""Measures `cooper serve` against Debian's docker-registry on the same work.

    tests/bench/serve.py COOPER [--runs N] [--dir DIR]

Both store below DIR (on a disk, please). The work: pushing a blob of 1 GB and pulling it, alone and four
at once, 1,000 GETs of a manifest over one connection, and 16 clients that push and pull small images for
some seconds. So that the servers are measured and not the client, the 1 GB is sent by sendfile(2) and
what comes is thrown away in the kernel (MSG_TRUNC). cooper syncs what it acknowledges; docker-registry
does not. Medians; the two take turns.

Python 3.11, standard library only.
"""
import argparse
import ctypes
import hashlib
import http.client
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MANY = os.path.join(HERE, "..", "e2e", "serve_many.py")
GB = 1 << 30
IMAGE = "application/vnd.oci.image.manifest.v1+json"


class Cooper:
    name = "cooper serve"

    def __init__(self, program, directory):
        self.process = subprocess.Popen(
            [program, "--root", os.path.join(directory, "store"), "serve", "--listen",
             "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        host, port = re.search(r"//([^ :]*):(\d+) ", self.process.stdout.readline()).groups()
        self.address = f"{host}:{port}"


class DockerRegistry:
    name = "docker-registry"

    def __init__(self, program, directory):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        config = os.path.join(directory, "config.yml")
        with open(config, "w") as f:
            f.write("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
                    f"storage: {{filesystem: {{rootdirectory: {directory}/data}}}}\n"
                    f"http: {{addr: 127.0.0.1:{port}}}\n")
        self.address = f"127.0.0.1:{port}"
        self.process = subprocess.Popen(["docker-registry", "serve", config],
                                        stderr=subprocess.DEVNULL)
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                time.sleep(0.1)
        sys.exit("docker-registry does not answer")


def peak_mib(process):
    with open(f"/proc/{process.pid}/status") as f:
        return int(re.search(r"VmHWM:\s*(\d+) kB", f.read()).group(1)) / 1024


def cpu(process):
    with open(f"/proc/{process.pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(connection, method, path, body=None, **headers):
    headers = {k.replace("_", "-"): v for k, v in headers.items()}
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    if answer.status >= 400:
        sys.exit(f"{method} {path}: {answer.status} {answer.read()[:300]}")
    return answer


def push_file(connection, path, digest):
    where = ask(connection, "POST", "/v2/bench/blobs/uploads/", b"")
    where.read()
    where = re.sub(r"^https?://[^/]*", "", where.headers["Location"])
    with open(path, "rb") as f:
        ask(connection, "PUT", where + ("&" if "?" in where else "?") + "digest=" + digest, f,
            Content_Length=str(os.path.getsize(path)),
            Content_Type="application/octet-stream").read()


LIBC = ctypes.CDLL(None, use_errno=True)


def send_head(address, line, *headers):
    """The socket on which a request was begun."""
    host, port = address.split(":")
    s = socket.create_connection((host, int(port)))
    s.sendall("\r\n".join((line + " HTTP/1.1", f"Host: {address}", "Connection: close", *headers,
                            "", "")).encode())
    return s


def push_big(address, path, digest):
    host, port = address.split(":")
    where = ask(http.client.HTTPConnection(host, int(port)), "POST",
                "/v2/bench/blobs/uploads/", b"").headers["Location"]
    where = re.sub(r"^https?://[^/]*", "", where)
    with open(path, "rb") as f, send_head(
            address, f"PUT {where}{'&' if '?' in where else '?'}digest={digest}",
            f"Content-Length: {os.path.getsize(path)}",
            "Content-Type: application/octet-stream") as s:
        s.sendfile(f)
        answer = s.recv(65536)
    if b" 201 " not in answer[:20]:
        sys.exit(f"push of {path}: {answer!r}")


def pull_big(address, digest):
    with send_head(address, f"GET /v2/bench/blobs/{digest}") as s:
        size = len(s.recv(1))
        while (n := LIBC.recv(s.fileno(), None, ctypes.c_size_t(16 << 20), socket.MSG_TRUNC)) > 0:
            size += n
    if size <= GB:
        sys.exit(f"pull of {digest}: {size} bytes")


def at_once(count, function):
    threads = [threading.Thread(target=function) for _ in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def measure(kind, program, directory, big, digest, out):
    server = kind(program, directory)
    host, port = server.address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=600)

    def note(what, function):
        begin, used = time.monotonic(), cpu(server.process)
        function()
        out.setdefault(what, {}).setdefault(kind.name, []).append(
            (time.monotonic() - begin, cpu(server.process) - used))

    try:
        note("push of 1 GB", lambda: push_big(server.address, big, digest))
        note("pull of 1 GB", lambda: pull_big(server.address, digest))
        note("4 pulls of 1 GB at once", lambda: at_once(
            4, lambda: pull_big(server.address, digest)))
        config = b"{}"
        d = "sha256:" + hashlib.sha256(config).hexdigest()
        small = os.path.join(directory, "small")
        with open(small, "wb") as f:
            f.write(config)
        push_file(connection, small, d)
        ask(connection, "PUT", "/v2/bench/manifests/1", (
            '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":'
            '"application/vnd.oci.image.config.v1+json","digest":"%s","size":2},"layers":[]}'
            % (IMAGE, d)).encode(), Content_Type=IMAGE).read()

        def get_manifests():
            for _ in range(1000):
                ask(connection, "GET", "/v2/bench/manifests/1", Accept=IMAGE).read()

        note("1,000 GETs of a manifest", get_manifests)
        connection.close()
        for label, clients in (("1 client", 1), ("16 clients", 16)):
            text = subprocess.run(
                [sys.executable, MANY, server.address, "--clients", str(clients), "--seconds",
                 "5", "--no-first"], stdout=subprocess.PIPE, text=True, check=True).stdout
            rate = float(re.search(r"(\d+) a second", text).group(1))
            out.setdefault("images a second, " + label, {}).setdefault(
                kind.name, []).append((rate, 0))
        out.setdefault("peak memory", {}).setdefault(kind.name, []).append(
            (peak_mib(server.process), 0))
    finally:
        server.process.terminate()
        server.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cooper")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dir", default="/var/tmp")
    arguments = parser.parse_args()
    out = {}
    with tempfile.TemporaryDirectory(dir=arguments.dir) as top:
        big = os.path.join(top, "big")
        h = hashlib.sha256()
        with open(big, "wb") as f:
            for _ in range(64):
                part = os.urandom(GB // 64)
                h.update(part)
                f.write(part)
        for n in range(arguments.runs):
            for kind in (Cooper, DockerRegistry):
                directory = os.path.join(top, "run")
                os.mkdir(directory)
                measure(kind, arguments.cooper, directory, big, "sha256:" + h.hexdigest(), out)
                shutil.rmtree(directory)
    print("| work | cooper serve | docker-registry |\n| --- | --- | --- |")
    for what, results in out.items():
        cells = []
        ours, theirs = ([statistics.median(v) for v in zip(*results[k.name])]
                        for k in (Cooper, DockerRegistry))
        for values in (ours, theirs):
            if "a second" in what:
                cells.append(f"{values[0]:.0f}")
            elif "memory" in what:
                cells.append(f"{values[0]:.0f} MiB")
            else:
                cells.append(f"{values[0]:.3f} s ({values[1]:.2f} s of processor)")
        ratio = ours[0] / theirs[0] if "a second" in what else theirs[0] / ours[0]
        print(f"| {what} | {cells[0]} | {cells[1]} ({ratio:.1f}x) |")


if __name__ == "__main__":
    main()
