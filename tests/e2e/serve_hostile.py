#!/usr/bin/env python3
"""Treats a registry as nobody should: serve_hostile.py HOST:PORT. After each of these it must still
answer others at once; what it may do to the one who misbehaves is written with each.

Python 3.11, standard library only.
"""
import os
import secrets
import socket
import sys

WAIT_S = 120


def connect(address):
    host, port = address.rsplit(":", 1)
    s = socket.create_connection((host, int(port)), timeout=WAIT_S)
    return s


def talk(address, data):
    """What comes back until the other side closes, or one answer has come."""
    with connect(address) as s:
        got = b""
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed already, which is an answer too
        try:
            while part := s.recv(65536):
                got += part
        except ConnectionResetError:
            pass
        return got


def status(answer):
    """None: closed without a word."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else None


def expect(address, what, data, *allowed):
    got = status(talk(address, data))
    if got not in allowed:
        sys.exit(f"{what}: {got} instead of {allowed}")
    alive(address, what)


def alive(address, what):
    got = status(talk(address, request("GET", "/v2/")))
    if got != 200:
        sys.exit(f"after {what}: the registry answers others with {got}")


def request(method, target, *headers, body=b""):
    lines = [f"{method} {target} HTTP/1.1", "Host: x", "Connection: close", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def main():
    a = sys.argv[1]
    repo = "hostile/" + secrets.token_hex(4)
    big = "x" * 200000
    expect(a, "a giant header", request("GET", "/v2/", "X-Big: " + big), 431, 400, 413, None)
    expect(a, "many headers", request("GET", "/v2/", *(f"X-{i}: {i}" for i in range(20000))),
           431, 400, 413, None)
    expect(a, "a giant target", request("GET", "/v2/" + big), 414, 400, 431, None)
    expect(a, "a giant method", (big + " / HTTP/1.1\r\n\r\n").encode(), 400, 405, 414, 431, None)
    expect(a, "no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(600), 400,
           None)
    expect(a, "NULs", b"GET /v2/\0\0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400, 404,
           200, None)
    expect(a, "a length that is none", request("PUT", f"/v2/{repo}/manifests/x",
                                               "Content-Length: -5"), 400, 413, None)
    expect(a, "a length past all numbers", request("PUT", f"/v2/{repo}/manifests/x",
                                                   "Content-Length: 99999999999999999999999"),
           400, 413, None)
    expect(a, "a promise of 2^63 bytes", request("PUT", f"/v2/{repo}/manifests/x",
                                                 "Content-Length: 9223372036854775807"), 413,
           None)
    expect(a, "a blob of 2^62 bytes", request(
        "POST", f"/v2/{repo}/blobs/uploads/?digest=sha256:" + "0" * 64,
        "Content-Length: 4611686018427387904"), 507, None)
    expect(a, "chunks that are none", request("PUT", f"/v2/{repo}/manifests/x",
                                              "Transfer-Encoding: chunked", body=b"zz\r\nabc"),
           400, None)
    expect(a, "length and chunks at once", request(
        "PUT", f"/v2/{repo}/manifests/x", "Content-Length: 3", "Transfer-Encoding: chunked",
        body=b"0\r\n\r\n"), 400, None)
    for target in ("/v2/../../etc/passwd", "/v2/%2e%2e/%2e%2e/manifests/x", "/v2/a%00b/tags/list",
                   "/v2/a%0d%0aX:y/tags/list", "/v2/a/blobs/../../../meta.db",
                   "/v2/a/blobs/sha256:../../../../etc/passwd", "/v2/a/blobs/uploads/../../x",
                   "/v2/" + "a/" * 5000 + "tags/list", "//v2/", "/v2//tags/list"):
        expect(a, target[:60], request("GET", target), 400, 404, 414)
    expect(a, "a deep document", request(
        "PUT", f"/v2/{repo}/manifests/x", "Content-Type: application/json",
        "Content-Length: 1000000", body=b'{"a":' * 200000), 400)
    # A header within an answer: what the client wrote must not come back as one.
    answer = talk(a, request("GET", f"/v2/{repo}/tags/list?n=1&last=%0d%0aX-Injected:%20y"))
    if b"\r\nX-Injected" in answer:
        sys.exit("a header was injected")
    # Hundreds who say nothing, or half of something, do not keep others out.
    silent = [connect(a) for _ in range(300)]
    for i, s in enumerate(silent):
        s.sendall((b"", b"G", b"GET /v2/ HTTP/1.1\r\nHost:",
                   b"PUT /v2/x/manifests/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")[i % 4])
    alive(a, "hundreds of silent connections")
    for s in silent:
        s.close()
    # Uploads that break off anywhere leave the registry as it was.
    for size in (0, 1, 4000, 100000):
        with connect(a) as s:
            s.sendall(request("POST", f"/v2/{repo}/blobs/uploads/?digest=sha256:" + "0" * 64,
                              "Content-Length: 200000", body=b"x" * size))
    alive(a, "uploads that broke off")


if __name__ == "__main__":
    main()
