#!/usr/bin/env bash
# Runs as root the tests that said in LOG (see tests/skip/src/lib.rs) that nothing but root was
# missing, with sudo, and takes their lines out of LOG; what they skip then is added. Where there is
# no sudo the lines stay, and say so.
#
#   tests/as_root.sh LOG
set -euo pipefail
log=$1
[ "$(id -u)" != 0 ] || exit 0
needing=$(awk -F'\t' '$4 == "root"' "$log")
[ -n "$needing" ] || exit 0

why=
if ! command -v sudo >/dev/null; then
  why="there is no sudo"
elif ! sudo -n true 2>/dev/null; then
  # Somebody who can type a password may be asked for it.
  if ! { [ -t 0 ] && sudo -v; }; then why="sudo asks for a password, and nobody is there"; fi
fi
rest=$(mktemp)
trap 'rm -f "$rest"' EXIT
if [ -n "$why" ]; then
  awk -F'\t' -v OFS='\t' -v why="$why" '$4 == "root" { $5 = $5 " (not as root: " why ")" } 1' "$log" >"$rest"
  cat "$rest" >"$log"
  exit 0
fi

echo "== tests as root: $(cut -f1,3 <<<"$needing" | sort -u | grep -c .), with sudo"
awk -F'\t' '$4 != "root"' "$log" >"$rest"
cat "$rest" >"$log"
status=0
while IFS=$'\t' read -r program directory; do
  mapfile -t names < <(awk -F'\t' -v p="$program" '$1 == p { print $3 }' <<<"$needing" | sort -u)
  # One test that has no name for the program: all of them.
  for name in "${names[@]}"; do [ "$name" != - ] || names=(); done
  [ "${#names[@]}" = 0 ] || names=(--exact "${names[@]}")
  (cd "$directory" && sudo env PATH="$PATH" HOME=/root SPK_SKIP_LOG="$log" CARGO_NET_OFFLINE=true \
    CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" \
    "$program" "${names[@]}") </dev/null || status=$?
done < <(cut -f1,2 <<<"$needing" | sort -u)
exit "$status"
