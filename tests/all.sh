#!/usr/bin/env bash
# Every check and every test, from a clean checkout. Safe to run again. Run by an ordinary user it
# runs what needs root with sudo, at its end, where sudo may be had.
set -euo pipefail
cd "$(dirname "$0")/.."

tests/setup.sh --tests

echo "== formatting, lints, docs, commits"
cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
tests/commits.sh
tests/mutants.sh --check

echo "== tests"
cargo build --workspace --bins --examples --quiet
# Lines as tests/skip/src/lib.rs says.
export SPK_SKIP_LOG="$PWD/target/skipped-tests.log"
: >"$SPK_SKIP_LOG"
skipped() { printf -- '-\t-\t-\t-\t%s\n' "$*" >>"$SPK_SKIP_LOG"; }
status=0
# The system call table of the other architecture at least has to compile.
if rustc --print target-libdir --target aarch64-unknown-linux-gnu 2>/dev/null | xargs test -d; then
  cargo check -p spk-sandbox --lib --target aarch64-unknown-linux-gnu --quiet || status=$?
else
  skipped "aarch64 check: rustup target add aarch64-unknown-linux-gnu was not run"
fi
tests/run.sh || status=$?

echo "== fuzzing, a sample"
if command -v c++ >/dev/null; then
  tests/fuzz.sh 5 || status=$?
else
  skipped "fuzzing: there is no C++ compiler"
fi

echo "== cargo install"
tests/cargo_install.sh || status=$?

tests/as_root.sh "$SPK_SKIP_LOG" || status=$?

# Tests that are set aside did not run either.
grep -rn --include='*.rs' '#\[ignore = ' spk runtime fuse-tracer tests |
  sed -E 's/^([^:]*):[0-9]+:#\[ignore = "(.*)"\]$/-\t-\t-\t-\t\1: set aside: \2/' >>"$SPK_SKIP_LOG" || true

told=$(cut -f5 "$SPK_SKIP_LOG" | sort -u)
echo
echo "skipped tests: $(grep -c . <<<"$told" || true)"
grep . <<<"$told" | sed 's/^/  SKIPPED /' || true
exit "$status"
