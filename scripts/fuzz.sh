#!/bin/sh
# Runs every fuzz target of the module for a while: scripts/fuzz.sh 10s
set -eu

# fuzz FOLDER TARGET TIME
fuzz() {
	echo "== $2 in $1"
	go test -run '^$' -fuzz "^$2\$" -fuzztime "$3" "./$1" </dev/null
}

grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' activities apiserver cmd internal worker workflows |
	sed 's|^\(.*\)/[^/]*:func \(.*\)$|\1 \2|' |
	while read -r folder target; do
		# Out of time, the fuzzer may fail with "context deadline exceeded". A real finding has become a seed, and fails again.
		fuzz "$folder" "$target" "$1" || fuzz "$folder" "$target" "$1"
	done
