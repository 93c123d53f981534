#!/bin/sh
# counts words
n=0
while read -r word; do n=$((n + 1)); done <"$1"
echo "$n"
