#!/bin/sh
# Every overlay and the jobs, as `kubectl apply -k` would send them, against Kubernetes' own schemas (offline) and checkov's rules;
# every Dockerfile against hadolint's.
# usage: check.sh FOLDER_OF_TOOLS
set -eu
tools=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
rendered=build/k8s
mkdir -p "$rendered"
# Kinds whose schemas their operators bring: tests/k8s look at these.
elsewhere='kind (Certificate|Gateway|GRPCRoute|HTTPRoute|PodMonitor|PrometheusRule|ScaledObject) '
for overlay in k8s/overlays/*/ k8s/jobs/ k8s/jobs/*/; do
    name=$(basename "$overlay")
    file=$rendered/$name.yaml
    HOME=/nonexistent "$tools/bin/kubectl" kustomize "$overlay" >"$file"
    # The oldest version that we say works, and the newest.
    for version in 1.33 1.37; do
        said=$("$tools/venv/bin/kubernetes-validate" --strict --quiet --kubernetes-version $version "$file" 2>&1) || { echo "$said"; exit 1; }
        unknown=$(echo "$said" | grep -vE "$elsewhere" | grep . || true)
        [ -z "$unknown" ] || { echo "$unknown"; exit 1; }
    done
    echo "$name: $(grep -c '^kind:' "$file") documents are valid"
done
"$tools/venv/bin/hadolint" images/*/Dockerfile
echo "hadolint: nothing found"
"$tools/venv/bin/checkov" --config-file k8s/checks/checkov.yaml --directory "$rendered"
echo "checkov: nothing found"
