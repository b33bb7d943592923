#!/bin/sh
# Bases of the images from Debian's own packages, where no registry is reachable: one to build with, one to run with (Python
# and its libraries, and the list of what is in it; no shell, no package manager's lists, no compiler). Needs mmdebstrap, and root.
# usage: bases.sh FOLDER: writes FOLDER/build.tar and FOLDER/run.tar
set -eu
folder=$1
mkdir -p "$folder"
options='--aptopt=Acquire::Retries"5" --dpkgopt=path-exclude=/usr/share/doc/* --dpkgopt=path-exclude=/usr/share/man/* --dpkgopt=path-exclude=/usr/share/locale/* --dpkgopt=path-include=/usr/share/doc/*/copyright'
# shellcheck disable=SC2086
mmdebstrap --quiet --variant=minbase $options \
    --include=ca-certificates,gcc,libc6-dev,python3-dev,python3-venv bookworm "$folder/build.tar"
# shellcheck disable=SC2086
mmdebstrap --quiet --variant=extract $options \
    --include=base-files,libgomp1,libpython3.11-stdlib,libstdc++6,netbase,python3-minimal \
    --extract-hook='for deb in "$1"/var/cache/apt/archives/*.deb; do dpkg-deb --field "$deb"; echo; done > "$1"/var/lib/dpkg/status' \
    --extract-hook='rm -rf "$1"/var/lib/apt "$1"/var/cache "$1"/usr/bin/dpkg* "$1"/usr/bin/mawk "$1"/usr/lib/*/gconv' \
    --extract-hook='printf "root:x:0:0::/:/nonexistent\norrery:x:10001:10001::/app:/nonexistent\n" > "$1/etc/passwd"' \
    --extract-hook='printf "root:x:0:\norrery:x:10001:\n" > "$1/etc/group"' \
    --extract-hook='mkdir -p "$1/tmp" && chmod 1777 "$1/tmp"' \
    bookworm "$folder/run.tar"
