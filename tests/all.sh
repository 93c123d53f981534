#!/usr/bin/env bash
# Every check and every test, from a clean checkout. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."

tests/setup.sh --tests

echo "== formatting, lints, docs"
cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

echo "== tests"
cargo build --workspace --bins --examples --quiet
export SPK_SKIP_LOG="$PWD/target/skipped-tests.log"
: >"$SPK_SKIP_LOG"
status=0
# The system call table of the other architecture at least has to compile.
if rustc --print target-libdir --target aarch64-unknown-linux-gnu 2>/dev/null | xargs test -d; then
  cargo check -p spk-sandbox --lib --target aarch64-unknown-linux-gnu --quiet || status=$?
else
  echo "aarch64 check: rustup target add aarch64-unknown-linux-gnu was not run" >>"$SPK_SKIP_LOG"
fi
cargo test --workspace --no-fail-fast || status=$?

echo "== cargo install"
tests/cargo_install.sh || status=$?

# Tests that are set aside did not run either.
grep -rn --include='*.rs' '#\[ignore = ' spk runtime fuse-tracer tests |
  sed -E 's/^([^:]*):[0-9]+:#\[ignore = "(.*)"\]$/\1: set aside: \2/' >>"$SPK_SKIP_LOG" || true

skipped=$(wc -l <"$SPK_SKIP_LOG")
echo
echo "skipped tests: $skipped"
sed 's/^/  SKIPPED /' "$SPK_SKIP_LOG"
exit "$status"
