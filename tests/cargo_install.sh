#!/usr/bin/env bash
# Installs both programs with cargo, as docs/install.md says, and packs an HTTP app with them: the
# bridge is found. Into a place of its own, and without optimizing, so that the dependencies of the
# tests are used again.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
for crate in spk/cli runtime/bridge; do
  CARGO_TARGET_DIR=target cargo install --quiet --debug --locked --offline --no-track \
    --path "$crate" --root "$root" 2> >(grep -v 'be sure to add' >&2)
done

cd "$root"
spk() { env -i HOME="$root" PATH=/usr/bin:/bin "$root/bin/spk" "$@"; }
# Whatever else this machine lacks.
{ spk doctor || true; } | grep -F "$root/bin/sandstorm-http-bridge"
mkdir app && touch app/server
spk init --quiet -p 8000 -I app -A -- /server
spk pack --quiet --fast app.spk
spk ls app.spk | grep -x sandstorm-http-bridge
