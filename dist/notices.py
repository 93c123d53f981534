#!/usr/bin/env python3
"""Makes dist/third-party.txt: whose work is in the programs, and under which licences.

    dist/notices.py            writes it anew: after every change of dependencies
    dist/notices.py --check    says whether it is what would be written

The crates are those that Cargo.lock puts into spk and sandstorm-http-bridge; their texts are taken
from the crates' own files. What comes with the toolchain has its texts in dist/licenses.
"""
import collections
import json
import os
import re
import subprocess
import sys

HOUSE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUTPUT = "dist/third-party.txt"
# The target that is built; others have the same crates.
TARGET = "x86_64-unknown-linux-gnu"
PROGRAMS = {"spk-cli", "spk-bridge"}
# The first of these that a crate may be used under is taken: one text then serves for most.
PREFERRED = ["Apache-2.0", "MIT", "BSD-3-Clause", "BSD-2-Clause", "Zlib", "Unicode-3.0", "0BSD"]
# Which of a crate's files has the text of which licence; a file called LICENSE alone is of the only one.
FILES = {
    "Apache-2.0": r"licen[sc]e[-_.]?apache.*",
    "MIT": r"licen[sc]e[-_.]?mit.*",
    "BSD-3-Clause": r"licen[sc]e[-_.]?bsd.*",
    "BSD-2-Clause": r"licen[sc]e[-_.]?bsd.*",
    "Zlib": r"licen[sc]e[-_.]?zlib.*",
    "Unicode-3.0": r"licen[sc]e[-_.]?unicode.*",
}
ANY = r"(licen[sc]e|copying)(\.(md|txt))?"


def fail(message):
    sys.exit(f"notices: {message}")


def metadata():
    command = ["cargo", "metadata", "--format-version=1", "--locked", f"--filter-platform={TARGET}"]
    return json.loads(subprocess.check_output(command, cwd=HOUSE))


def linked(data):
    """The packages whose code is in the programs: no build scripts, tests or procedural macros."""
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    todo = [package["id"] for package in data["packages"] if package["name"] in PROGRAMS]
    seen = set()
    while todo:
        here = todo.pop()
        if here in seen or any("proc-macro" in target["kind"] for target in packages[here]["targets"]):
            continue
        seen.add(here)
        for dependency in nodes[here]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    ours = [packages[one] for one in seen if packages[one]["source"]]
    return sorted(ours, key=lambda package: (package["name"], package["version"]))


def chosen(package):
    """The licences to use it under: one of each alternative, all that are joined by AND."""
    expression = package["license"] or fail(f"{package['name']} does not say its licence")
    taken = []
    for part in re.split(r"\s+AND\s+", expression):
        names = re.split(r"\s+OR\s+|/", part.strip("() "))
        known = [name for name in PREFERRED if name in names]
        if not known:
            fail(f"{package['name']} {package['version']}: {part} is no licence known here")
        taken.append(known[0])
    return taken


def text_of(package, licence):
    """The text of a licence as the crate has it."""
    directory = os.path.dirname(package["manifest_path"])
    names = sorted(os.listdir(directory))
    for pattern in (FILES.get(licence, ANY), ANY):
        for name in names:
            if re.fullmatch(pattern, name, re.IGNORECASE):
                return read(os.path.join(directory, name))
    # Some crates leave the texts of their workspace out: the one that all share is known.
    if licence == "Apache-2.0":
        return read(os.path.join(HOUSE, "LICENSE"))
    fail(f"{package['name']} {package['version']} has no text of {licence}")


def read(path):
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip() for line in file.read().replace("\r\n", "\n").split("\n")]
    return "\n".join(lines).strip("\n") + "\n"


def beside(package, pattern):
    directory = os.path.dirname(package["manifest_path"])
    for name in sorted(os.listdir(directory)):
        if re.fullmatch(pattern, name, re.IGNORECASE):
            yield read(os.path.join(directory, name))


RULE = "=" * 80 + "\n"


def section(title, text):
    return f"{RULE}{title}\n{RULE}\n{text}\n"


def notices():
    packages = linked(metadata())
    users, texts, extra = collections.defaultdict(list), {}, []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        for licence in chosen(package):
            text = read(os.path.join(HOUSE, "LICENSE")) if licence == "Apache-2.0" else text_of(package, licence)
            # Line breaks and the appendix do not make another text.
            key = (licence, " ".join(text.split()))
            texts.setdefault(key, text)
            users[key].append(name)
        # The Apache License wants a work's notices kept.
        for text in beside(package, r"notice(\.(md|txt))?"):
            extra.append(section(f"Notices of {name}", text))
        if package["name"] == "liblzma-sys":
            copying = os.path.join(os.path.dirname(package["manifest_path"]), "xz", "COPYING")
            extra.append(section(f"liblzma, of XZ Utils (in {name})", read(copying)))
    parts = [
        "Third-party notices\n\n"
        "The programs spk and sandstorm-http-bridge are under the Apache License, version 2.0. They are\n"
        "static, and contain the works of others that follow, each under the licence given with it.\n"
        "Made by dist/notices.py.\n\n"
    ]
    for key in sorted(texts, key=lambda key: (PREFERRED.index(key[0]), users[key])):
        parts.append(section(f"{key[0]}: {', '.join(users[key])}", texts[key]))
    parts += extra
    for title, path in (
        ("The pages' assets, which spk serves to browsers", "runtime/host/src/shell/assets/vendor/LICENSES.txt"),
        ("The Rust standard library", "dist/licenses/rust.txt"),
        ("The GNU C Library", "dist/licenses/glibc.txt"),
        ("The GNU Lesser General Public License, version 2.1", "dist/licenses/LGPL-2.1.txt"),
        ("The run-time library of GCC", "dist/licenses/libgcc.txt"),
    ):
        parts.append(section(title, read(os.path.join(HOUSE, path))))
    return "".join(parts)


def main():
    made = notices()
    path = os.path.join(HOUSE, OUTPUT)
    if sys.argv[1:] == ["--check"]:
        if not os.path.exists(path) or open(path, encoding="utf-8").read() != made:
            fail(f"{OUTPUT} is not what Cargo.lock asks for: run dist/notices.py, and commit it")
    elif sys.argv[1:]:
        fail("usage: dist/notices.py [--check]")
    else:
        with open(path, "w", encoding="utf-8") as file:
            file.write(made)
        print(path)


main()
