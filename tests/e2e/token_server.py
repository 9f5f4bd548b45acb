#!/usr/bin/env python3
"""token_server.py DIR: a token server as registries name it in their challenges.

Writes its port to DIR/port once it listens on the loopback address, and its certificate to
DIR/token.crt; a line of DIR/log for each request. The user is "me" with the password
"s3cret/ pass" or the identity token "renew-me"; "reader" ("reader") may only pull, and who
says no name gets "pull" for repositories below "open/". With offline_token, "me" gets the
identity token. Tokens are signed with RS256 (openssl does it) for docker-registry.

Spec: distribution, "Token Authentication Specification", "OAuth2 Token Authentication"."""
import base64
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse

folder = sys.argv[1]
key, certificate = (os.path.join(folder, name) for name in ("token.key", "token.crt"))
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key,
                "-out", certificate, "-days", "3650", "-subj", "/CN=token"],
               check=True, stderr=subprocess.DEVNULL)
der = base64.b64encode(subprocess.run(
    ["openssl", "x509", "-in", certificate, "-outform", "DER"],
    check=True, capture_output=True).stdout).decode()
lock = threading.Lock()


def plain(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(payload):
    head = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
    text = b".".join(plain(json.dumps(part).encode()) for part in (head, payload))
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text,
                               check=True, capture_output=True).stdout
    return (text + b"." + plain(signature)).decode()


def granted(user, scopes):
    for scope in scopes:
        for one in scope.split():
            kind, name, actions = one.split(":")
            allowed = []
            for action in actions.split(","):
                if user == "me" or action == "pull" and (user or name.startswith("open/")):
                    allowed.append(action)
            yield {"type": kind, "name": name, "actions": allowed}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def note(self, text):
        with lock, open(os.path.join(folder, "log"), "a", encoding="utf-8") as log:
            log.write(text + "\n")

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def grant(self, user, service, scopes, refresh):
        now = int(time.time())
        payload = {"iss": "test", "sub": user, "aud": service, "exp": now + 600,
                   "nbf": now - 60, "iat": now, "jti": str(time.monotonic_ns()),
                   "access": list(granted(user, scopes))}
        body = {"token": signed(payload), "expires_in": 600}
        if refresh:
            body["refresh_token"] = "renew-me"
        self.answer(200, body)

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        user, header = "", self.headers.get("Authorization")
        if header:
            user, password = base64.b64decode(header.split()[1]).decode().split(":", 1)
            if (user, password) not in (("me", "s3cret/ pass"), ("reader", "reader")):
                self.note("GET refused " + user)
                self.answer(401, {"details": "no"})
                return
        scopes = query.get("scope", [])
        self.note("GET " + (user or "-") + " " + " ".join(scopes))
        self.grant(user, query.get("service", [""])[0], scopes,
                   user == "me" and "offline_token" in query)

    def do_POST(self):
        size = int(self.headers.get("Content-Length", 0))
        form = urllib.parse.parse_qs(self.rfile.read(size).decode())
        if form.get("refresh_token") != ["renew-me"]:
            self.note("POST refused")
            self.answer(401, {"details": "no"})
            return
        self.note("POST " + " ".join(form.get("scope", [])))
        self.grant("me", form["service"][0], form.get("scope", []), False)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(os.path.join(folder, "port.new"), "w", encoding="utf-8") as f:
    f.write(str(server.server_address[1]))
os.rename(os.path.join(folder, "port.new"), os.path.join(folder, "port"))
server.serve_forever()
