#!/usr/bin/env bash
# Packages the sample app and runs the package: prints the URL to open. Ctrl-C stops it.
# With --check it fetches the app's page instead of waiting, and stops.
set -euo pipefail
cd "$(dirname "$0")/.."

log() { printf '\n== %s\n' "$*" >&2; }

tests/setup.sh
log "building spk and its bridge: the first time this takes some minutes"
cargo build --workspace --bins
target=$(rustc -vV | sed -n 's/^host: //p')
PATH="$PWD/target/$target/debug:$PATH"

demo="${SPK_DEMO_DIR:-$PWD/target/demo}"
rm -rf "$demo/notes" "$demo/notes.spk"
mkdir -p "$demo/notes"
export SPK_STATE="$demo/state"
touch "$demo/keyring"

log "a package from a template: $demo/notes"
cd "$demo/notes"
spk init --template python --keyring "$demo/keyring" -q

log "spk dev: the app runs on the traced file system while it is used"
mkfifo "$demo/ready.$$"
spk dev --json --port 0 >"$demo/ready.$$" &
dev=$!
trap 'kill -INT $dev 2>/dev/null || true; rm -f "$demo/ready.$$"' EXIT
if ! read -r ready <"$demo/ready.$$"; then echo "demo: spk dev did not start" >&2; exit 1; fi
session=$(printf %s "$ready" | sed -n 's/.*"sessionUrl":"\([^"]*\)".*/\1/p')
for path in "" "static/style.css"; do curl -sS -o /dev/null "${session%/}/$path"; done
curl -sS -o /dev/null -d 'text=traced' "${session%/}/notes"
kill -INT "$dev"
wait "$dev" || true
trap - EXIT
rm -f "$demo/ready.$$"
wc -l "$(find . -name sandstorm-files.list | head -n 1)" >&2

log "spk pack, spk verify"
spk pack --keyring "$demo/keyring" "$demo/notes.spk"
spk verify "$demo/notes.spk" >/dev/null
ls -l "$demo/notes.spk" >&2

log "spk run: the package in the sandbox; open the URL below in a browser"
if [ "${1-}" = --check ]; then
  mkfifo "$demo/ready.$$"
  spk run "$demo/notes.spk" --json --port 0 >"$demo/ready.$$" &
  run=$!
  read -r ready <"$demo/ready.$$"
  rm -f "$demo/ready.$$"
  echo "$ready"
  session=$(printf %s "$ready" | sed -n 's/.*"sessionUrl":"\([^"]*\)".*/\1/p')
  curl -sS --fail -o /dev/null -w 'the app answered %{http_code}\n' "$session"
  kill -INT "$run"
  wait "$run" || true
else
  exec spk run "$demo/notes.spk"
fi
