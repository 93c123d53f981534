#!/usr/bin/env bash
# Lets libFuzzer look for inputs that make what reads bytes of others panic or hang: each TARGET (all
# of them, if none is named; tests/fuzz/src/lib.rs has the list) for SECONDS, one on each processor.
#
#   tests/fuzz.sh                       # 5 s each, as tests/all.sh does
#   tests/fuzz.sh 600 backup front      # two of them for ten minutes each
#   tests/fuzz.sh --merge backup        # the corpus anew: as few inputs as reach all that was found
#   tests/fuzz.sh --minimize backup F   # an input that fails, made shorter
#   tests/fuzz.sh --run backup F...     # those inputs only
#
# Before any of these --libraries: the libraries' code is counted, too, such as that of Cap'n Proto's
# RPC; all of it is compiled anew, once, which takes some five minutes. Without, what the tests have
# compiled is used. What is found is below target/fuzz: found/TARGET, and failures/TARGET-...; an input
# that fails belongs into tests/fuzz/corpus/TARGET when its fault is mended. Needs a C++ compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
work=target/fuzz
coverage=$PWD/tests/fuzz/rustc.sh
if [ "${1-}" = --libraries ]; then
  shift
  # As flags, which do not count for build scripts and procedural macros. They stand in place of those in
  # .cargo/config.toml.
  RUSTFLAGS=$("$coverage" echo) cargo build --quiet --locked -p spk-fuzz \
    --features libfuzzer --profile fuzz --target-dir "$work"
  program=$(echo "$work"/*/fuzz/spk-fuzz)
else
  # With all members, so that the libraries are those of `cargo build --workspace`.
  RUSTC_WORKSPACE_WRAPPER=$coverage cargo build --quiet --locked --workspace \
    --features spk-fuzz/libfuzzer --bin spk-fuzz
  program=$(echo target/*/debug/spk-fuzz)
fi

# Temporary files are many and short-lived: in memory, if there is a place.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
targets=$(SPK_FUZZ_TARGET='' "$program" 2>/dev/null)

fuzz() {
  local target=$1 longest
  shift
  longest=$(sed -n "s/^$target //p" <<<"$targets")
  SPK_FUZZ_TARGET=$target "$program" -timeout=20 -rss_limit_mb=2048 -max_len="$longest" \
    -artifact_prefix="$work/failures/$target-" "$@"
}

# Lets a target run for $seconds.
search() {
  local target=$1 log=$work/$1.log
  mkdir -p "$work/found/$target"
  if fuzz "$target" -max_total_time="$seconds" -print_final_stats=1 "$work/found/$target" \
    "tests/fuzz/corpus/$target" >"$log" 2>&1; then
    echo "fuzz: $target: $(sed -n 's/^Done \([0-9]* runs in [0-9]*\) second.*/\1 s/p' "$log")"
  else
    echo "fuzz: $target FAILED, see $log:" >&2
    grep -aE 'panicked at|^SUMMARY|^==|Test unit written' -A1 "$log" | tail -20 >&2
    return 1
  fi
}

mkdir -p "$work/failures"
case ${1-} in
  --merge)
    new=$(mktemp -d "$work/merge.XXXXXX")
    fuzz "$2" -merge=1 "$new" "tests/fuzz/corpus/$2" "$work/found/$2"
    echo "$new: $(find "$new" -type f | wc -l) inputs"
    ;;
  --minimize) fuzz "$2" -minimize_crash=1 -max_total_time=60 "$3" ;;
  --run) fuzz "${@:2}" ;;
  *)
    seconds=${1:-5}
    chosen=("${@:2}")
    if [ "${#chosen[@]}" = 0 ]; then mapfile -t chosen < <(cut -d' ' -f1 <<<"$targets"); fi
    # One on each processor.
    export -f fuzz search
    export work program targets seconds
    printf '%s\0' "${chosen[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'search "$1"' search
    ;;
esac
