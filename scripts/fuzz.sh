#!/bin/sh
# Runs every fuzz target of the module for a while: scripts/fuzz.sh 10s
set -eu

grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' internal activities apiserver workflows worker cmd |
	sed 's|^\(.*\)/[^/]*:func \(.*\)$|\1 \2|' |
	while read -r folder target; do
		echo "== $target in $folder"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "./$folder" </dev/null
	done
