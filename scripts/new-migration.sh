#!/bin/sh
# Begins a migration with the next number: scripts/new-migration.sh verb_object
set -eu

case ${1:-} in
'' | *[!a-z0-9_]*)
	echo "new-migration: a name is needed, like add_webhooks" >&2
	exit 2
	;;
esac

last=$(find schema/migrations -name '[0-9]*.sql' | sed 's|.*/0*\([0-9]*\)_.*|\1|' | sort -n | tail -1)
file=$(printf 'schema/migrations/%05d_%s.sql' $((${last:-0} + 1)) "$1")
cat >"$file" <<'END'
-- +goose Up

-- +goose Down
END
echo "$file"
