#!/usr/bin/env bash
# Makes a bare Debian 12+ or Ubuntu with a current Rust ready to build, run and test spk.
# Safe to run again. Uses sudo when not root. With --tests also what only the tests need.
set -euo pipefail

# Before anybody is asked for a password.
"$(dirname "$0")/rust.sh"

if [ "$(id -u)" = 0 ]; then as_root() { "$@"; }; else as_root() { sudo "$@"; }; fi

packages=(gcc libc6-dev curl ca-certificates python3)
if [ "${1-}" = --tests ]; then
  packages+=(g++ python3-pip python3-venv capnproto xz-utils zip unzip libarchive-tools gnupg sqlite3
    util-linux procps git fuse3 busybox-static strace)
  # What people package (tests/tests/runtimes.rs, apps.rs), and the sandbox's peer in its benchmark.
  packages+=(nodejs node-express php-cli php-fpm php-sqlite3 php-mysql uwsgi-core uwsgi-plugin-python3 ruby perl golang-go musl-tools default-jdk-headless
    postgresql mariadb-server redis-server nginx bubblewrap)
  # Installing on a clean machine, shells that complete, and images (install.rs, oci.rs).
  packages+=(debootstrap binutils lintian bash-completion zsh fish runc crun umoci iproute2
    apparmor)
  # The browser of tests/tests/shell*.rs; elsewhere than in Debian it is no package of the archive.
  if grep -qx 'ID=debian' /etc/os-release; then
    packages+=(chromium chromium-driver fonts-dejavu-core)
  fi
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' ||
    missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  echo "setup: installing ${missing[*]}" >&2
  # The tests want the servers' programs, not their services. invoke-rc.d(8) asks this file.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null
fi

# The sandbox's table for the other architecture is at least compiled.
if [ "${1-}" = --tests ] && command -v rustup >/dev/null; then
  rustup -q target add aarch64-unknown-linux-gnu || echo "setup: no aarch64 target" >&2
fi

# `spk dev` needs to open /dev/fuse. With udev it is mode 0666 everywhere; without (containers,
# minimal machines) it may be missing or closed to users.
if [ ! -e /dev/fuse ]; then
  as_root modprobe fuse 2>/dev/null || true
  [ -e /dev/fuse ] || as_root mknod -m 0666 /dev/fuse c 10 229 || true
fi
if [ -e /dev/fuse ] && [ "$(stat -c %a /dev/fuse)" != 666 ]; then
  echo "setup: opening /dev/fuse to ordinary users (mode 0666, as udev does)" >&2
  as_root chmod 0666 /dev/fuse
fi

# As root, which tests/all.sh is or becomes with sudo, the tests run the unprivileged paths as this
# user.
if [ "${1-}" = --tests ] && ! id -u spk-test >/dev/null 2>&1; then
  as_root useradd --create-home --shell /bin/sh spk-test
fi
