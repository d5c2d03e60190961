#!/bin/sh
# Installs or upgrades @NAME@ on a Linux with systemd, without a package index. Run it in the folder it was unpacked to:
#
#   sudo ./install.sh             verify, install or upgrade, enable and start
#   ./install.sh verify           only compare every file with SHA256SUMS
#   sudo ./install.sh uninstall   stop and remove the program; settings and state stay
#   sudo ./install.sh purge       the same, and settings, certificate, state and user as well
#
# PYTHON=/path/to/python3 chooses an interpreter (3.11 to 3.13); otherwise the newest of those that is found is taken.
set -eu
umask 022

NAME=@NAME@
HOME_DIR=/opt/$NAME
MACHINE=@MACHINE@
COMMANDS="@COMMANDS@"
UNITS="@UNITS@"
STARTED=@UNIT@
ENV_FILE=@ENV_FILE@
NEEDS=@NEEDS@
LIST=$HOME_DIR/installed-files
FOLDERS=$HOME_DIR/installed-folders

fail() {
    echo "$NAME: $1" >&2
    exit 1
}

must_be_root() {
    [ "$(id -u)" = 0 ] || fail "this needs root: sudo $0 ${1:-}"
}

verify() {
    command -v sha256sum >/dev/null || fail "sha256sum is not installed (coreutils)"
    sha256sum --check --quiet --strict SHA256SUMS || fail "a file is not as it was built: fetch the bundle again"
}

usable() {
    "$1" -I -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" >/dev/null || fail "there is no $PYTHON"
        usable "$PYTHON" || fail "$PYTHON is not Python 3.11, 3.12 or 3.13 with its module venv"
        command -v "$PYTHON"
        return
    fi
    for name in python3.13 python3.12 python3.11 python3; do
        if command -v $name >/dev/null && usable $name; then
            command -v $name
            return
        fi
    done
    if command -v python3 >/dev/null; then
        fail "$(python3 -V) is not Python 3.11, 3.12 or 3.13 with its module venv: install one, or name it with PYTHON="
    fi
    fail "there is no python3: install Python 3.11, 3.12 or 3.13, or name it with PYTHON="
}

# Makes the new environment beside the old one, and changes them over when it is complete.
make_environment() {
    new=$HOME_DIR.new
    rm -rf "$new"
    "$1" -I -m venv --without-pip "$new"
    version=$("$new/bin/python3" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$new/bin/python3" -I "$(ls "$PWD"/installer/pip-*.whl)/pip" install --quiet --no-index --no-deps --no-compile \
        --disable-pip-version-check --no-cache-dir --require-hashes --root-user-action ignore --find-links wheels \
        --requirement "requirements-$version.txt" || { rm -rf "$new"; fail "the wheels do not fit this machine"; }
    rm -f "$new"/bin/*
    ln -s "$1" "$new/bin/python3"
    for command in $COMMANDS; do
        install -m 0755 "files/bin/$command" "$new/bin/$command"
    done
    "$new/bin/python3" -I -m compileall -q -s "$new" -p "$HOME_DIR" "$new/lib" || true
}

change_over() {
    rm -rf "$HOME_DIR.old"
    [ ! -e "$FOLDERS" ] || cp "$FOLDERS" "$HOME_DIR.new/"
    [ ! -e "$HOME_DIR" ] || mv "$HOME_DIR" "$HOME_DIR.old"
    mv "$HOME_DIR.new" "$HOME_DIR"
    rm -rf "$HOME_DIR.old"
}

make_user() {
    if ! getent passwd "$NAME" >/dev/null; then
        useradd --system --user-group --no-create-home --home-dir "/var/lib/$NAME" --shell /usr/sbin/nologin "$NAME"
    fi
    install -d -m 0700 -o "$NAME" -g "$NAME" "/var/lib/$NAME"
    install -d -m 0750 -o root -g "$NAME" "/etc/$NAME"
    if [ ! -e "/etc/$NAME/$ENV_FILE" ]; then
        install -m 0640 -o root -g "$NAME" "files/$ENV_FILE" "/etc/$NAME/$ENV_FILE"
    fi
    # For comparison after an upgrade; your settings are never changed.
    install -m 0640 -o root -g "$NAME" "files/$ENV_FILE" "/etc/$NAME/$ENV_FILE.example"
}

# Puts the files of files/system to their places, and writes down which those were.
place_files() {
    : >>"$FOLDERS"
    (cd files/system && find . -type f | sed 's/^\.//' | sort) >"$LIST"
    while read -r path; do
        folder=$(dirname "$path")
        while [ ! -d "$folder" ]; do
            echo "$folder" >>"$FOLDERS"
            folder=$(dirname "$folder")
        done
        install -D -m 0644 "files/system$path" "$path"
    done <"$LIST"
    for command in $COMMANDS; do
        ln -sfn "$HOME_DIR/bin/$command" "/usr/local/bin/$command"
        echo "/usr/local/bin/$command" >>"$LIST"
    done
    install -m 0755 install.sh "$HOME_DIR/install.sh"
    if command -v restorecon >/dev/null; then
        restorecon -R "$HOME_DIR" /etc/systemd/system "/etc/$NAME" "/var/lib/$NAME" 2>/dev/null || true
    fi
}

start() {
    if [ ! -d /run/systemd/system ]; then
        echo "$NAME: installed; systemd does not run here, so nothing was started" >&2
        return
    fi
    modprobe -q tcp_bbr 2>/dev/null || true
    sysctl -q -p "/etc/sysctl.d/30-$NAME.conf" >/dev/null 2>&1 || true
    systemctl daemon-reload
    # A unit that was stopped by hand stays so.
    if [ "$1" = upgrade ]; then
        systemctl try-restart "$STARTED" "$NAME@*.service"
    else
        systemctl enable --quiet "$STARTED"
        if [ -z "$NEEDS" ] || grep -q "^$NEEDS=." "/etc/$NAME/$ENV_FILE"; then
            systemctl start "$STARTED"
        else
            echo "$NAME: set $NEEDS in /etc/$NAME/$ENV_FILE, then: systemctl restart $NAME" >&2
        fi
    fi
}

install_all() {
    must_be_root
    [ "$(uname -s)-$(uname -m)" = "Linux-$MACHINE" ] || fail "this bundle is for Linux on $MACHINE, this is $(uname -s) on $(uname -m)"
    ! [ -e "/var/lib/dpkg/info/$NAME.list" ] || fail "the Debian package is installed: remove it first (dpkg --remove $NAME)"
    command -v systemctl >/dev/null || fail "this needs systemd"
    python=$(find_python)
    verify
    kind=install
    [ ! -e "$LIST" ] || kind=upgrade
    make_environment "$python"
    make_user
    change_over
    place_files
    start "$kind"
    echo "$NAME $("$HOME_DIR/bin/$NAME" version | cut -d ' ' -f 2): $kind done; settings are in /etc/$NAME/$ENV_FILE"
}

uninstall() {
    must_be_root "$1"
    [ -e "$LIST" ] || fail "is not installed by this script"
    if [ -d /run/systemd/system ]; then
        systemctl disable --quiet --now $UNITS 2>/dev/null || true
        systemctl stop "$NAME@*.service" 2>/dev/null || true
    fi
    while read -r path; do
        rm -f "$path"
    done <"$LIST"
    sort -r "$FOLDERS" | while read -r folder; do
        rmdir "$folder" 2>/dev/null || true
    done
    rm -rf "$HOME_DIR"
    if [ "$1" = purge ]; then
        rm -f /etc/systemd/system/*.wants/"$NAME".* /etc/systemd/system/*.wants/"$NAME"@*.service
        rm -rf "/var/lib/$NAME" "/etc/$NAME"
        userdel "$NAME" 2>/dev/null || true
    fi
    [ ! -d /run/systemd/system ] || systemctl daemon-reload
    echo "$NAME: removed"
}

case "${1:-install}" in
install)
    cd "$(dirname "$0")"
    install_all
    ;;
verify)
    cd "$(dirname "$0")"
    verify
    echo "$NAME: every file is as it was built"
    ;;
uninstall | purge) uninstall "$1" ;;
*) fail "usage: $0 [install|verify|uninstall|purge]" ;;
esac
