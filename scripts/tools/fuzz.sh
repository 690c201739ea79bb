#!/bin/sh
# Runs fuzzers, each for some seconds; shows a summary, or the end of its output if one found something.
# usage: fuzz.sh SECONDS CORPUS-FOLDER PROGRAM...
# What a fuzzer learnt stays in its corpus; the input that broke something is put beside it.
set -eu
seconds=$1
folder=$2
shift 2
for program; do
  name=$(basename "$program")
  mkdir -p "$folder/$name"
  if ! DECODE_FUZZ_SEEDS="$folder/$name" "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2000 \
    -print_final_stats=1 -artifact_prefix="$folder/$name-" "$folder/$name" >"$folder/$name.log" 2>&1 </dev/null; then
    tail -n 60 "$folder/$name.log"
    echo "FAIL $name ($folder/$name.log)"
    exit 1
  fi
  echo "ok   $name $(sed -n 's/^stat::number_of_executed_units: *//p' "$folder/$name.log") inputs"
done
