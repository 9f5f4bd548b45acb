"""An HTTP proxy in front of a registry that does what networks and registries do wrong.

    with FaultProxy(upstream, choose) as proxy:
        ... speak to proxy.address ...

With certificate=(CERTIFICATE, KEY) it speaks TLS, and tells the registry so. `rewrite` is given each
header (name, value) of an answer, and returns the value to be passed on.

`choose` is asked once a request, with a struct of its method, path, headers and size, and answers
with a fault or None:

    ("status", 503, {"Retry-After": "0"})   answered without asking the registry
    ("cut-request", 1000)   the connection breaks after so many bytes of the body
    ("lose-answer",)        the registry does it, and nobody is told
    ("cut-answer", 10)      the answer breaks off after so many bytes of its body
    ("stall-request", 1000) nothing more is taken after so many bytes, until the client goes
    ("stall-answer", 10)    nothing more is given after so many bytes, until the client goes

`proxy.requests` tells of each: method, path, headers, fault, bytes of its body that came. Answers
of the registry are passed on with their headers; Host too, so that Location leads back here.

Python 3.11, standard library only.
"""
import http.client
import http.server
import select
import socket
import ssl
import struct
import threading

PIECE = 64 << 10
DROPPED = {"connection", "transfer-encoding", "keep-alive", "date", "server"}


class Request:
    def __init__(self, handler):
        self.method = handler.command
        self.path = handler.path
        self.pairs = handler.headers.items()  # Accept may come several times
        self.headers = dict(self.pairs)
        self.size = int(handler.headers.get("Content-Length") or 0)
        self.is_chunked = handler.headers.get("Transfer-Encoding", "").lower() == "chunked"
        self.fault = None
        self.received = 0


class Broken(Exception):
    """The connection is to be closed now."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 300

    def log_message(self, *args):
        pass

    def do(self):
        proxy = self.server.proxy
        q = Request(self)
        with proxy.lock:
            proxy.requests.append(q)
            q.fault = proxy.choose(q)
        try:
            self.serve(q, q.fault[0] if q.fault else None, q.fault[1:] if q.fault else ())
        except (Broken, OSError, http.client.HTTPException):
            self.close_connection = True
            self.break_off()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do

    def break_off(self):
        """Half of the connections are closed, half reset."""
        try:
            if len(self.server.proxy.requests) % 2:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                           struct.pack("ii", 1, 0))
            else:
                self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def wait_for_the_client_to_go(self):
        for _ in range(600):
            ready, _, _ = select.select([self.connection], [], [], 0.5)
            if (ready and not self.connection.recv(PIECE)) or self.server.proxy.is_over:
                return

    def body(self, q):
        """The request's body, piece by piece."""
        if q.is_chunked:
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = q.size
        while left:
            piece = self.rfile.read(min(left, PIECE))
            if not piece:
                raise Broken
            left -= len(piece)
            yield piece

    def forward(self, q, fault, arguments):
        """Gives the request to the registry; the connection to it, its answer waiting."""
        upstream = http.client.HTTPConnection(*self.server.proxy.upstream, timeout=120)
        upstream.putrequest(q.method, q.path, skip_host=True, skip_accept_encoding=True)
        for name, value in q.pairs:
            if name.lower() not in ("connection", "expect"):
                upstream.putheader(name, value)
        if self.server.proxy.tls:
            upstream.putheader("X-Forwarded-Proto", "https")
        upstream.endheaders()
        stop = arguments[0] if fault in ("cut-request", "stall-request") else None
        for piece in self.body(q):
            if stop is not None and q.received + len(piece) > stop:
                piece = piece[:stop - q.received]
                q.received += len(piece)
                upstream.send(piece)
                if fault == "stall-request":
                    self.wait_for_the_client_to_go()
                upstream.close()
                raise Broken
            q.received += len(piece)
            upstream.send(b"%x\r\n%s\r\n" % (len(piece), piece) if q.is_chunked else piece)
        if q.is_chunked:
            upstream.send(b"0\r\n\r\n")
        return upstream

    def refuse(self, q, status, headers):
        for piece in self.body(q):
            q.received += len(piece)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def serve(self, q, fault, arguments):
        if fault == "status":
            self.refuse(q, *arguments)
            return
        upstream = self.forward(q, fault, arguments)
        try:
            answer = upstream.getresponse()
            if fault == "lose-answer":
                answer.read()
                raise Broken
            self.pass_on(q, answer, fault, arguments)
        finally:
            upstream.close()

    def pass_on(self, q, answer, fault, arguments):
        has_body = q.method != "HEAD" and answer.status not in (204, 304)
        data = answer.read() if has_body else b""
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in DROPPED and not (has_body and name.lower() == "content-length"):
                self.send_header(name, self.server.proxy.rewrite(name, value))
        if has_body:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault in ("cut-answer", "stall-answer"):
            self.wfile.write(data[:arguments[0]])
            self.wfile.flush()
            if fault == "stall-answer":
                self.wait_for_the_client_to_go()
            raise Broken
        self.wfile.write(data)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def finish_request(self, request, client_address):
        tls = self.proxy.tls
        if not tls:
            super().finish_request(request, client_address)
            return
        request.settimeout(300)
        with tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request, client_address):
        pass  # clients that go away are what this is about


class FaultProxy:
    def __init__(self, upstream, choose, certificate=None, rewrite=lambda name, value: value):
        host, port = upstream.rsplit(":", 1)
        self.upstream = (host, int(port))
        self.choose = choose
        self.rewrite = rewrite
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*certificate)
        self.lock = threading.Lock()  # guards requests and calls of choose
        self.requests = []
        self.is_over = False
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.proxy = self
        self.address = "127.0.0.1:%d" % self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *ignored):
        self.is_over = True
        self.server.shutdown()
        self.server.server_close()
