#!/usr/bin/env python3
"""files_server.py ROOT PORT_FILE LOG: serves ROOT over http on a free port of the loopback
address, and does on demand what servers do now and then.

  /PATH              the file; ETag and Last-Modified, 304 where they match
  /plain/PATH        without ETag and Last-Modified
  /to/STATUS/URL     a redirect to /URL, or to http://... where URL begins so
  /status/N          nothing but the status
  /flaky/N/PATH      the first N requests are answered 503, the next with the file
  /huge              claims a length of one exabyte
  /cut/PATH          breaks off in the middle
  /auth/PATH         wants user "me" with the password "s3cret/"
  /token/PATH        wants any Authorization
  /git/REPO.git/...  git http-backend on ROOT/REPO.git
  /gitauth/...       the same for "x-access-token:tok"

A request is one line of LOG: METHOD PATH STATUS, and what credentials it had.
The port is in PORT_FILE once the server listens."""
import base64
import email.utils
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import urllib.parse

root, port_file, log_file = sys.argv[1:4]
lock = threading.Lock()
flaky = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def note(self, status):
        with lock, open(log_file, "a") as log:
            auth = self.headers.get("Authorization", "-").split(" ")[0].lower()
            print(self.command, self.path, status, auth, file=log)

    def answer(self, status, body=b"", headers=()):
        self.note(status)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_path(self, path, validators=True):
        path = os.path.normpath(os.path.join(root, urllib.parse.unquote(path.lstrip("/").partition("?")[0])))
        if not path.startswith(root + "/") or not os.path.isfile(path):
            return self.answer(404, b"there is no such page\n")
        data = open(path, "rb").read()
        headers = []
        if validators:
            etag = '"%s"' % hashlib.md5(data).hexdigest()
            modified = email.utils.formatdate(int(os.stat(path).st_mtime), usegmt=True)
            headers = [("ETag", etag), ("Last-Modified", modified)]
            if self.headers.get("If-None-Match") == etag:
                return self.answer(304, b"", headers)
        self.answer(200, data, headers)

    def wants(self, user):
        given = self.headers.get("Authorization", "")
        if user is None and given:
            return True
        if user is not None and given.lower() == "basic " + base64.b64encode(user).decode().lower():
            return True
        self.answer(401, b"", [("WWW-Authenticate", 'Basic realm="test"')])
        return False

    def git(self, path):
        path, _, query = path.partition("?")
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while (line := self.rfile.readline().strip()) and (size := int(line, 16)):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        env = dict(os.environ, GIT_PROJECT_ROOT=root, GIT_HTTP_EXPORT_ALL="1", PATH_INFO="/" + path,
                   QUERY_STRING=query, REQUEST_METHOD=self.command, GIT_CONFIG_COUNT="1",
                   GIT_CONFIG_KEY_0="safe.directory", GIT_CONFIG_VALUE_0="*",
                   CONTENT_TYPE=self.headers.get("Content-Type", ""), CONTENT_LENGTH=str(len(body)),
                   HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""),
                   GIT_PROTOCOL=self.headers.get("Git-Protocol", ""))
        out = subprocess.run(["git", "http-backend"], env=env, input=body, stdout=subprocess.PIPE).stdout
        head, _, body = out.partition(b"\r\n\r\n")
        status, headers = 200, []
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name == "Status":
                status = int(value.split()[0])
            else:
                headers.append((name, value))
        self.answer(status, body, headers)

    def do_GET(self):
        first, _, rest = self.path.lstrip("/").partition("/")
        if first == "plain":
            return self.send_path(rest, validators=False)
        if first == "to":
            status, _, url = rest.partition("/")
            url = url if url.startswith("http") else "/" + url
            return self.answer(int(status), b"moved", [("Location", url)])
        if first == "status":
            return self.answer(int(rest))
        if first == "flaky":
            times, _, path = rest.partition("/")
            with lock:
                flaky[rest] = flaky.get(rest, 0) + 1
                count = flaky[rest]
            return self.send_path(path) if count > int(times) else self.answer(503)
        if first == "huge":
            self.note(200)
            self.send_response(200)
            self.send_header("Content-Length", str(10 ** 18))
            self.end_headers()
            self.wfile.write(b"x")
            self.close_connection = True
            return
        if first == "cut":
            data = open(os.path.join(root, rest), "rb").read()
            self.note(200)
            self.send_response(200)
            self.send_header("Content-Length", str(len(data) * 2))
            self.end_headers()
            self.wfile.write(data)
            self.close_connection = True
            return
        if first == "auth":
            return self.send_path(rest) if self.wants(b"me:s3cret/") else None
        if first == "token":
            return self.send_path(rest) if self.wants(None) else None
        if first == "git":
            return self.git(rest)
        if first == "gitauth":
            return self.git(rest) if self.wants(b"x-access-token:tok") else None
        self.send_path(self.path)

    do_POST = do_GET
    do_HEAD = do_GET


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(port_file + ".new", "w") as out:
    out.write(str(server.server_address[1]))
os.rename(port_file + ".new", port_file)
server.serve_forever()
