#!/usr/bin/env bash
# Checks the subjects of the commits that main does not have yet, as CONTRIBUTING.md wants them:
# "area: what", at most 72 characters, no merges. On main itself, of those since the rule is there.
# A clone that does not have the history has nothing to check.
set -euo pipefail
cd "$(dirname "$0")/.."
here() { git rev-parse --quiet --verify "$1^{commit}" 2>/dev/null; }

if ! here HEAD >/dev/null; then
  echo "commits: not a git checkout, so nothing was checked" >&2
  exit 0
fi
base=
for main in origin/main main; do
  if here "$main" >/dev/null && [ "$(here "$main")" != "$(here HEAD)" ]; then
    base=$(git merge-base "$main" HEAD 2>/dev/null || true)
    [ -z "$base" ] || break
  fi
done
if [ -z "$base" ]; then
  # The commit that brought the rule: the first that has CONTRIBUTING.md.
  base=$(git log --diff-filter=A --format=%H -- CONTRIBUTING.md | tail -n 1)
fi
# At the edge of a shallow clone every file looks new.
if [ -z "$base" ] || [ "$(git rev-parse --is-shallow-repository)" = true ] && ! here "$base~1" >/dev/null; then
  echo "commits: this clone is too shallow, so nothing was checked" >&2
  exit 0
fi

status=0
while IFS= read -r line; do
  [ -n "$line" ] || continue
  commit=${line%% *} subject=${line#* }
  wrong=
  [ "${#subject}" -le 72 ] || wrong="${#subject} characters, more than 72"
  [[ $subject =~ ^[a-z0-9][a-z0-9,\ /_.-]*:\ [^\ ] ]] || wrong="no area in front (\"area: what\")"
  [ -z "$wrong" ] || { echo "commits: $commit: $wrong: $subject" >&2; status=1; }
done < <(git log --no-merges --format='%h %s' "$base..HEAD")
merges=$(git log --merges --format='%h %s' "$base..HEAD")
[ -z "$merges" ] || { echo "commits: merges, where a rebase is wanted: $merges" >&2; status=1; }
exit "$status"
