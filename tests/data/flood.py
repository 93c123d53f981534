"""Holds connections to a port of 127.0.0.1 that ask nothing: flood.py PORT HOW COUNT [USER].

HOW: "idle" sends nothing; "slow" sends a head byte by byte. A connection that is closed is made anew.
Says "held" when all have been made once, and goes on until it is killed.
"""

import os
import select
import socket
import sys

port, how, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if len(sys.argv) > 4:
    os.setgroups([])
    os.setgid(int(sys.argv[4]))
    os.setuid(int(sys.argv[4]))


def connect():
    made = socket.socket()
    made.connect(("127.0.0.1", port))
    made.setblocking(False)
    return made


held = [connect() for _ in range(count)]
print("held", flush=True)
while True:
    ready, _, _ = select.select(held, [], [], 0.2)
    for at, connection in enumerate(held):
        try:
            if how == "slow":
                connection.send(b"G")
            if connection in ready and not connection.recv(65536):
                raise ConnectionResetError
        except BlockingIOError:
            pass
        except OSError:
            connection.close()
            held[at] = connect()
