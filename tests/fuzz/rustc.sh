#!/bin/sh
# The compiler, for tests/fuzz.sh: counts the edges taken, and tells libFuzzer what is compared. It is
# what cargo-fuzz asks for, by flags of the stable compiler.
case " $* " in
  # Large, generated, and no place of decisions.
  *" --crate-name spk_schema "*) exec "$@" ;;
  *" --crate-name spk_fuzz "*" --crate-type bin "*)
    # The program itself is not static: libFuzzer's C++ library counts on that.
    for argument; do
      shift
      [ "$argument" != target-feature=+crt-static ] || argument=target-feature=-crt-static
      set -- "$@" "$argument"
    done
    ;;
esac
exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0
