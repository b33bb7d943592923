#!/bin/sh
# Build every image with docker, podman or buildah, whichever is found first.
# usage: build.sh ROLE...
# ORRERY_IMAGE_BASES=debian makes the bases from Debian's packages (the default where the registry cannot be reached).
set -eu
cd "$(dirname "$0")/.."
out=build/images
mkdir -p "$out"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml | head -1)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)

if docker info >/dev/null 2>&1; then
    builder=docker
elif command -v podman >/dev/null; then
    builder=podman
elif command -v buildah >/dev/null; then
    builder=buildah
else
    echo "no docker, podman or buildah (Debian: apt-get install buildah runc)" >&2
    exit 1
fi

build() {
    case $builder in
    docker) DOCKER_BUILDKIT=1 docker build --quiet "$@" ;;
    podman) podman build --quiet --format oci "$@" ;;
    # runc: crun of Debian bookworm does not start buildah's containers. Its own network has no way out here.
    buildah) buildah bud --quiet --layers --runtime runc --network host "$@" ;;
    esac
}

from_registry() {
    [ "${ORRERY_IMAGE_BASES:-}" != debian ] || return 1
    base=$(sed -n 's/^ARG RUN_BASE=//p' images/front/Dockerfile)
    case $builder in
    docker) docker pull --quiet "$base" ;;
    podman) podman pull --quiet "$base" ;;
    buildah) timeout 60 buildah pull --quiet "$base" ;;
    esac >/dev/null 2>&1
}

if from_registry; then
    bases=""
else
    echo "bases from Debian's packages (no registry)"
    [ -f "$out/bases/run.tar" ] || images/bases.sh "$out/bases"
    for base in build run; do
        printf 'FROM scratch\nADD %s.tar /\n' $base >"$out/bases/$base.Dockerfile"
        build --file "$out/bases/$base.Dockerfile" --tag "localhost/orrery/base-$base:bookworm" "$out/bases" >/dev/null
    done
    bases="--build-arg BUILD_BASE=localhost/orrery/base-build:bookworm --build-arg RUN_BASE=localhost/orrery/base-run:bookworm"
fi
secrets=""
[ -z "${SSL_CERT_FILE:-}" ] || secrets="--secret id=ca,src=$SSL_CERT_FILE"

for role in "$@"; do
    echo "building $role with $builder"
    # shellcheck disable=SC2086
    build $bases $secrets --build-arg "VERSION=$version" --build-arg "REVISION=$revision" \
        --file "images/$role/Dockerfile" --tag "localhost/orrery/$role:$version" .
done
