import socket
server = socket.socket(socket.AF_UNIX)
server.bind("/var/worker")
server.listen()
while True:
    client, _ = server.accept()
    client.sendall(b"from the worker")
    client.close()
