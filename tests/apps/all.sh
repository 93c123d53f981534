#!/usr/bin/env bash
# Takes apps as people package them all the way: init, dev with a client, pack, check, run without the
# sources, export, delete, restore, upgrade. Each is a script beside this one, which says what it needs;
# any user may run them, and nothing is installed.
#
#   tests/apps/all.sh               # all of them: some GB of downloads, and an hour
#   tests/apps/all.sh radicale go   # these
#   tests/apps/all.sh --docs …      # and puts their results into docs/apps.md
set -euo pipefail
apps=$(cd "$(dirname "$0")" && pwd)
docs=
if [ "${1-}" = --docs ]; then
  docs=yes
  shift
fi
if [ $# = 0 ]; then
  mapfile -t all < <(find "$apps" -type f -perm -u+x ! -name '*.*' -printf '%f\n' | sort)
  set -- "${all[@]}"
fi

results=$(mktemp)
trap 'rm -f "$results"' EXIT
passed=0 failed=() skipped=()
for name; do
  status=0
  "$apps/$name" >>"$results" || status=$?
  case $status in
    0) passed=$((passed + 1)) ;;
    77) skipped+=("$name") ;;
    *) failed+=("$name") ;;
  esac
done
cat "$results"
if [ -n "$docs" ]; then python3 -B "$apps/lib.py" "$apps/../../docs/apps.md" <"$results"; fi
echo "apps: $passed passed, ${#failed[@]} failed, ${#skipped[@]} skipped" >&2
[ "${#failed[@]}" = 0 ] || echo "FAILED: ${failed[*]}" >&2
[ "${#skipped[@]}" = 0 ] || echo "SKIPPED: ${skipped[*]}" >&2
[ "${#failed[@]}" = 0 ]
