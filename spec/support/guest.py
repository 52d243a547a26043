# A service inside a capsule, for the specs of the port proxy. Listens on a free
# port of the given address, and prints that port.

import base64
import hashlib
import json
import os
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler

PIECE = b"x" * 65536


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, body, status=200, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def pieces(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while True:
                size = int(self.rfile.readline(), 16)
                piece = self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    return
                yield piece
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            piece = self.rfile.read(min(left, 65536))
            left -= len(piece)
            yield piece

    def handle_any(self):
        name = self.path.split("?")[0].strip("/").replace("-", "_")
        getattr(self, "serve_" + (name or "echo"))()

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_PATCH = handle_any
    do_OPTIONS = do_PROPFIND = handle_any

    def serve_echo(self):
        body = b"".join(self.pieces())
        text = json.dumps({
            "method": self.command, "path": self.path,
            "headers": [[n.lower(), v] for n, v in self.headers.items()],
            "body": body.decode("latin-1")})
        self.answer(text.encode())

    def serve_count(self):
        count, digest = 0, hashlib.sha256()
        for piece in self.pieces():
            count += len(piece)
            digest.update(piece)
        self.answer(("%d %s" % (count, digest.hexdigest())).encode())

    # Reads nothing of a body before it is told to.
    def serve_wait(self):
        while not os.path.exists("/tmp/go"):
            time.sleep(0.05)
        self.serve_count()

    # Reads a body slowly.
    def serve_sip(self):
        count = 0
        for piece in self.pieces():
            count += len(piece)
            time.sleep(0.002)
        self.answer(str(count).encode())

    def serve_big(self):
        count = int(self.path.split("?")[1])
        self.send_response(200)
        self.send_header("Content-Length", str(count * len(PIECE)))
        self.end_headers()
        for _ in range(count):
            self.wfile.write(PIECE)

    # "?" and the seconds after each piece may follow.
    def serve_chunked(self):
        pause = float((self.path.split("?") + ["0.05"])[1])
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for text in (b"one", b"two", b"three"):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
            self.wfile.flush()
            time.sleep(pause)
        self.wfile.write(b"0\r\n\r\n")

    def raw(self, data):
        self.wfile.write(data)
        self.wfile.flush()
        self.close_connection = True

    def serve_eof(self):
        self.raw(b"HTTP/1.1 200 OK\r\n\r\nup to the end")

    def serve_half(self):
        self.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    def serve_half_chunked(self):
        self.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 b"4\r\nhalf\r\n")

    def serve_garbage(self):
        self.raw(b"this is no HTTP\r\n\r\n")

    def serve_nothing(self):
        self.close_connection = True

    def serve_continued(self):
        self.raw(b"HTTP/1.1 100 Continue\r\n\r\n"
                 b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                 b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    def serve_early(self):
        self.raw(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")

    def serve_switch(self):
        self.raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
                 b"Connection: Upgrade\r\n\r\n")

    def serve_redirect(self):
        host = self.headers["Host"]
        self.answer(b"", 302, [("Location", "http://" + host + "/echo?x")])

    def serve_empty(self):
        self.send_response(204)
        self.end_headers()

    # With the length of what has not changed, as a server may say it.
    def serve_unchanged(self):
        self.send_response(304)
        self.send_header("Content-Length", "5")
        self.end_headers()

    # Waits for its client to disconnect, and records that.
    def serve_hang(self):
        open("/tmp/hanging", "w").close()
        self.connection.recv(1)
        open("/tmp/hung-up", "w").close()
        self.close_connection = True

    # Echoes WebSocket frames of any kind up to a close frame.
    def serve_ws(self):
        key = self.headers["Sec-WebSocket-Key"]
        guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1((key + guid).encode()).digest())
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept.decode())
        self.end_headers()
        self.close_connection = True
        if "hello" in self.path:
            self.wfile.write(b"\x81\x05hello")
        while True:
            head = self.rfile.read(2)
            if len(head) < 2:
                open("/tmp/ws-lost", "w").close()
                return
            size = head[1] & 127
            if size == 126:
                size = int.from_bytes(self.rfile.read(2), "big")
            elif size == 127:
                size = int.from_bytes(self.rfile.read(8), "big")
            mask = self.rfile.read(4)
            data = self.rfile.read(size)
            key = int.from_bytes(mask * (size // 4 + 1), "big")
            shown = int.from_bytes(data + bytes(4 - size % 4), "big") ^ key
            data = shown.to_bytes(size // 4 * 4 + 4, "big")[:size]
            if size < 126:
                length = bytes([size])
            elif size < 65536:
                length = b"\x7e" + size.to_bytes(2, "big")
            else:
                length = b"\x7f" + size.to_bytes(8, "big")
            self.wfile.write(bytes([head[0]]) + length + data)
            if head[0] & 15 == 8:
                return


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address):
        if ":" in address:
            self.address_family = 10  # AF_INET6
        super().__init__((address, int(sys.argv[2])), Handler)

    def handle_error(self, request, address):
        pass


server = Server(sys.argv[1])
print(server.server_address[1], flush=True)
server.serve_forever()
