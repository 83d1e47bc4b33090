#!/bin/sh
# Runs a command, and fails when a process that it started outlives it:
#
#   scripts/no-leftovers.sh COMMAND…
#
# The command gets a temporary folder of its own, whose name is then in the environment or the arguments of all that it
# started, and of nothing else. Nothing is killed: a leftover is there to be looked at.
set -u

[ -r /proc/self/environ ] || exec "$@" # without /proc there is no telling

dir=$(mktemp -d "${TMPDIR:-/tmp}/mt.XXXXXX") || exit
chmod 755 "$dir" # started as root, PostgreSQL runs as another user
trap : INT TERM # the command gets it as well; we look for what it leaves

# leftovers: the process ids. The brackets keep grep from finding itself.
leftovers() {
	grep -lsa "[m]${dir##*/m}" /proc/[0-9]*/environ /proc/[0-9]*/cmdline | cut -d/ -f3 | sort -un
}

TMPDIR=$dir "$@"
status=$?

for _ in 1 2 3 4 5; do # for those that are about to end
	left=$(leftovers)
	[ -n "$left" ] || break
	sleep 1
done
if [ -n "$left" ]; then
	echo "Still running after $*:" >&2
	for process in $left; do
		echo "  $process $(tr '\0' ' ' <"/proc/$process/cmdline")" >&2
	done
	exit 1
fi
rm -rf "$dir"
exit $status
