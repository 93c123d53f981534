#!/usr/bin/env bash
# Says whether the Rust that Cargo.toml asks for (rust-version, the one place of that number) is here.
# Others call this before they ask for anything else.
set -euo pipefail
cd "$(dirname "$0")/.."
needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
remedy="install it as https://rustup.rs says; Debian 12 and 13 have older ones"
if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
  echo "spk is built with Rust $needed or later, and there is no Rust in the PATH: $remedy" >&2
  exit 1
fi
found=$(rustc --version | cut -d' ' -f2)
if [ "$(printf '%s\n' "$needed" "${found%%-*}" | sort -V | head -n 1)" != "$needed" ]; then
  echo "spk is built with Rust $needed or later, and here is $found ($(command -v rustc)): $remedy" >&2
  exit 1
fi
