#!/usr/bin/env bash
# Takes the walls away, one after the other, and sees that a test misses each: mount flags, namespaces,
# limits, header checks. tests/mutants.tsv has them, a line each. (The rules of the system call filter are
# taken away by a unit test: runtime/sandbox/src/seccomp/mutants.rs.)
#
#   tests/mutants.sh            # all of them: compiles and tests once for each, which takes hours
#   tests/mutants.sh TEXT...    # the lines that have one of these texts in them, such as root.rs
#   tests/mutants.sh --check    # only that each line still fits the source, as tests/all.sh does
#
# Works in a copy of the sources below target/mutants; `mutants.log` there has what the tests said. Ends
# with 1 if a mutant was not missed. As root, both accounts are tested, as in `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/.."
list=tests/mutants.tsv
work=$PWD/target/mutants

# The file's text, with what is at its end.
text_of() {
  local text
  text=$(cat "$1" && echo .)
  printf '%s' "${text%.}."
}

wrong=0
while IFS=$'\t' read -r _ file find _; do
  if [ "$(grep -oF -- "$find" "$file" | wc -l)" != 1 ]; then
    echo "mutants: $file does not have this text once: $find" >&2
    wrong=1
  fi
done < <(grep -v '^#' "$list")
if [ "$wrong" != 0 ] || [ "${1-}" = --check ]; then exit "$wrong"; fi

mkdir -p "$work/tree"
git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from=- |
  tar --extract --directory="$work/tree"
log=$work/mutants.log
: >"$log"
# What was in the middle of a mutant when it was ended has an older time now than what was made of it.
grep -v '^#' "$list" | cut -f2 | sort -u | (cd "$work/tree" && xargs touch)
export CARGO_TARGET_DIR=$work/target SPK_SKIP_LOG=/dev/null
cd "$work/tree"

# What is before `--` chooses the program, what is behind it the tests in it.
compile() {
  read -ra words <<<"${1%% -- *}"
  case $1 in
    --lib* | *sandbox | *hostile) ;; # which execute no other program
    *) cargo build --workspace --bins --quiet >>"$log" 2>&1 || return ;;
  esac
  cargo test --workspace --no-run --quiet "${words[@]}" >>"$log" 2>&1
}
run() {
  read -ra words <<<"$1"
  timeout -k 10 600 cargo test --workspace --quiet "${words[@]}" >>"$log" 2>&1 </dev/null
}

chosen() {
  if [ "$#" = 0 ]; then grep -v '^#' "$list"; else
    grep -v '^#' "$list" | grep -F -- "$(printf '%s\n' "$@")"
  fi
}

# What fails without any mutant misses nothing.
declare -A sound=()
tried=0 unnoticed=0
while IFS=$'\t' read -r -u 3 test file find replacement; do
  if [ -z "${sound[$test]-}" ]; then
    if ! { compile "$test" && run "$test"; }; then
      echo "mutants: cargo test $test fails as it is, see $log" >&2
      exit 1
    fi
    sound[$test]=1
  fi
  original=$(text_of "$file")
  original=${original%.}
  mutant=${original/"$find"/"$replacement"}
  echo "=== $file: $find => $replacement" >>"$log"
  printf '%s' "$mutant" >"$file"
  tried=$((tried + 1))
  if ! compile "$test"; then
    echo "NO MUTANT (does not compile)  $file: $find"
    unnoticed=$((unnoticed + 1))
  elif run "$test"; then
    echo "NOT MISSED by $test  $file: $find => $replacement"
    unnoticed=$((unnoticed + 1))
  else
    echo "missed  $file: $find"
  fi
  printf '%s' "$original" >"$file"
done 3< <(chosen "$@")
echo "mutants: $tried walls taken away, $unnoticed not missed"
[ "$unnoticed" = 0 ]
