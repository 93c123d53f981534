#!/usr/bin/python3
"""The server's end of `spk dev -s`, as far as it takes to try ours: started as `sandstorm dev` with a
socket as standard input and output, it mounts in a namespace of its own, hands the descriptor over,
reads files through the mount, and ends when the other side shuts down."""
import ctypes
import os
import socket
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
NEWUSER, NEWNS, PRIVATE = 0x10000000, 0x00020000, 0x40000 | 0x4000
MOUNT = 0x01 | 0x02 | 0x04  # read-only, nosuid, nodev


def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


assert sys.argv[1:] == ["dev"], sys.argv
here = os.path.dirname(os.path.abspath(__file__))
connection = socket.socket(fileno=os.dup(0))
lines = connection.makefile("rb")
app_id, proc = lines.readline().decode().strip(), lines.readline().decode().strip()
assert app_id.isalnum() and proc in "01", (app_id, proc)
connection.sendall(f"stand-in: app {app_id}, proc {proc}\n".encode())

uid, gid = os.geteuid(), os.getegid()
check(libc.unshare(NEWNS if uid == 0 else NEWUSER | NEWNS))
if uid != 0:
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
check(libc.mount(None, b"/", None, PRIVATE, None))
fuse = os.open("/dev/fuse", os.O_RDWR)
target = os.path.join(here, "mount")
os.makedirs(target, exist_ok=True)
options = f"fd={fuse},rootmode=40000,user_id={uid},group_id={gid},allow_other"
check(libc.mount(b"sandstorm", target.encode(), b"fuse", MOUNT, options.encode()))
socket.send_fds(connection, [b"\0"], [fuse])
os.close(fuse)


def registered():
    manifest = open(os.path.join(target, "sandstorm-manifest"), "rb").read()
    connection.sendall(f"stand-in: manifest of {len(manifest)} bytes\n".encode())
    with open(os.path.join(target, "app.txt")) as file:
        connection.sendall(f"stand-in: app.txt says {file.read().strip()}\n".encode())
    # A grain's program is executed with the mount as its root.
    said = subprocess.run(["/program", "--version"], stdout=subprocess.PIPE, cwd="/", check=True,
                          preexec_fn=lambda: os.chroot(target)).stdout.decode().strip()
    connection.sendall(f"stand-in: the program says {said}\n".encode())


registered()
for line in lines:
    connection.sendall(b"stand-in: got " + line)
    if line == b"restart\n":
        registered()
check(libc.umount2(target.encode(), 2))
connection.sendall(b"stand-in: unmounted\n")
