#!/usr/bin/env bash
# Runs every test program of the workspace, as `cargo test --workspace --no-fail-fast` does, but as many
# at a time as there are processors: most wait for something most of the time. What each says comes at
# its end, in one piece.
set -euo pipefail
cd "$(dirname "$0")/.."

# These look at all processes or mounts of the machine, and are run when the others are done.
alone='sandbox|confinement|dev_modes|doctor|doctor_clean|kill|propagation'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo test --workspace --no-run --quiet --message-format=json-render-diagnostics >"$work/messages"
# A line for each: the program, and the directory of its package, where cargo runs it.
sed -nE '/"profile":\{[^}]*"test":true/s/.*"manifest_path":"([^"]*)\/Cargo.toml".*"executable":"([^"]*)".*/\2\t\1/p' \
  "$work/messages" | sort -u >"$work/programs"
[ -s "$work/programs" ] || { echo "run.sh: cargo names no test program" >&2; exit 1; }

one() {
  local program=${1%%$'\t'*} directory=${1#*$'\t'} log
  log=$(mktemp "$work/log.XXXXXX")
  local name=${program##*/} status=0 start=$SECONDS
  (cd "$directory" && CARGO_MANIFEST_DIR=$directory "$program") >"$log" 2>&1 </dev/null || status=$?
  {
    printf '\n     Ran %s in %s s\n' "$program" "$((SECONDS - start))"
    cat "$log"
    [ "$status" = 0 ] || printf 'FAILED: %s (exit status %s)\n' "${name%-*}" "$status"
  } >"$log.said"
  # One after the other.
  flock "$work/lock" cat "$log.said"
  [ "$status" = 0 ] || echo "${name%-*}" >>"$work/failed"
}
export -f one
export work
queue() { tr '\n' '\0' | xargs -0 -n 1 -P "$1" bash -c 'one "$1"' one; }
grep -Ev "/($alone)-[0-9a-f]+"$'\t' "$work/programs" | queue "$(nproc)"
grep -E "/($alone)-[0-9a-f]+"$'\t' "$work/programs" | queue 1

status=0
cargo test --workspace --doc --no-fail-fast || status=$?
if [ -s "$work/failed" ]; then
  echo "test programs that failed: $(sort "$work/failed" | tr '\n' ' ')" >&2
  status=1
fi
exit "$status"
