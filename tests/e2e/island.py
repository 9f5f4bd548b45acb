#!/usr/bin/env python3
"""island.py http ADDRESS PORT TEXT | dns ADDRESS ANSWER | abstract NAME; then READY-FILE

Small servers for run_network.bats. Each makes READY-FILE when it can be asked.
"""
import http.server
import socket
import sys


def serve_http(address, port, text, ready):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer((address, int(port)), Handler)
    open(ready, "w").close()
    server.serve_forever()


def serve_dns(address, answer, ready):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    open(ready, "w").close()
    while True:
        query, peer = server.recvfrom(512)
        end = query.index(b"\0", 12) + 5
        wants_a = query[end - 4 : end - 2] == b"\0\1"
        head = query[:2] + b"\x81\x80" + b"\0\1" + (b"\0\1" if wants_a else b"\0\0") + b"\0" * 4
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(answer)
        server.sendto(head + query[12:end] + (record if wants_a else b""), peer)


def serve_abstract(name, ready):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind("\0" + name)
    server.listen()
    open(ready, "w").close()
    while True:
        server.accept()[0].close()


{"http": serve_http, "dns": serve_dns, "abstract": serve_abstract}[sys.argv[1]](*sys.argv[2:])
