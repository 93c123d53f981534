import os

def save(name, text):
    with open("/var/" + name, "w") as file:
        file.write(text)

def load(name):
    try:
        return open("/var/" + name).read()
    except OSError:
        return None

def names():
    return sorted(os.listdir("/var"))
