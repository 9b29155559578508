"""Answers every request with one file by sendfile(2): the limit for bench/blobs.ts. Prints its port."""

import os
import socket
import sys

file = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(file).st_size
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    client, _ = server.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while b"\r\n\r\n" not in client.recv(65536):
        pass
    client.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % size)
    sent = 0
    while sent < size:
        sent += os.sendfile(client.fileno(), file, sent, size - sent)
    client.close()
