#!/bin/sh
# Makes sure that what Go does not bring is there:
#
#   scripts/setup.sh node postgres                         what development needs
#   scripts/setup.sh node postgres cc curl chromium dkim   what the tests need as well
#
# As root on Debian or Ubuntu it installs what is missing; elsewhere it says what to run.
# shellcheck disable=SC2046,SC2317 # words are meant to split; have_… are called by name
set -eu

min_node=18
min_postgres=15

have_node() {
	command -v npm && [ "$(node -p 'parseInt(process.versions.node)')" -ge "$min_node" ]
}

# PostgreSQL's server programs are often kept out of PATH.
have_postgres() {
	for dir in $(echo "$PATH" | tr ':' ' ') /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
		/opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin; do
		[ -x "$dir/initdb" ] || continue
		version=$("$dir/initdb" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
		[ "$version" -ge "$min_postgres" ] && return
	done
	return 1
}

have_cc() {
	command -v "${CC:-cc}" || command -v gcc || command -v clang
}

have_curl() {
	command -v curl
}

# Where chromedp looks for it.
have_chromium() {
	for try in headless_shell headless-shell chromium chromium-browser google-chrome google-chrome-stable; do
		command -v "$try" && return
	done
	[ -e "/Applications/Chromium.app" ] || [ -e "/Applications/Google Chrome.app" ]
}

# An implementation of DKIM that is not ours, for the Python of the system.
have_dkim() {
	python3 -c 'import dkim, nacl' || /usr/bin/python3 -c 'import dkim, nacl'
}

# missing NEED…: those that are not there.
missing() {
	for need; do "have_$need" >/dev/null 2>&1 || printf '%s ' "$need"; done
}

# installer: the command of this machine's package manager.
installer() {
	for try in 'apt-get install --no-install-recommends' 'dnf install' 'pacman -S' 'apk add' 'brew install'; do
		command -v "${try%% *}" >/dev/null && echo "$try" && return
	done
}

# packages MANAGER NEED…: what the package manager calls them.
packages() {
	manager=$1 && shift
	for need; do
		case $need:$manager in
		node:brew) echo node ;;
		node:*) echo nodejs npm ;;
		postgres:dnf) echo postgresql-server ;;
		postgres:brew) echo postgresql@17 ;;
		postgres:*) echo postgresql ;;
		cc:apt-get) echo gcc libc6-dev ;;
		cc:apk) echo gcc musl-dev ;;
		cc:*) echo gcc ;;
		curl:*) echo curl ;;
		chromium:*) echo chromium ;;
		dkim:apt-get) echo python3-dkim python3-nacl ;;
		dkim:*) echo python3-dkim ;;
		esac
	done | tr '\n' ' '
}

# Only PostgreSQL's programs are wanted: Debian must not make and start a database for it.
apt_install() {
	conf=/etc/postgresql-common/createcluster.d/mailtura-setup.conf
	mkdir -p "${conf%/*}"
	echo 'create_main_cluster = false' >$conf
	trap 'rm -f $conf' EXIT
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

set -- $(missing "$@")
[ $# -gt 0 ] || exit 0
install=$(installer) || true
if [ "${install%% *}" = apt-get ] && [ "$(id -u)" = 0 ]; then
	echo "setup: installing $*"
	apt_install $(packages apt-get "$@")
	set -- $(missing "$@")
	[ $# -gt 0 ] || exit 0
fi
cat >&2 <<END
setup: missing, or too old: $*
       node: Node.js $min_node or newer, with npm
       postgres: the server programs of PostgreSQL $min_postgres or newer
       cc: a C compiler
       curl: the program, for the tests of the guides
       chromium: a browser, Chromium or Chrome, for the tests of the pages
       dkim: the Python packages dkimpy and PyNaCl, for the tests of signatures (pip installs them too)
END
[ -z "$install" ] || echo "Run:   sudo $install $(packages "${install%% *}" "$@")" | sed 's/sudo brew/brew/' >&2
exit 1
