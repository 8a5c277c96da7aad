#!/usr/bin/env bash
# Build the environments of the peers that `python -m benchmarks.peers` is compared with: one virtual environment for
# each, since they pin each other's dependencies apart. Safe to run again: what is there stays.
#
#   scripts/peer_envs.sh [DIRECTORY] [PEER...]     default .venv-peers, all of curator, distilabel, data_designer
#
# Then: python -m benchmarks.peers --peers DIRECTORY
set -euo pipefail

where="${1:-.venv-peers}"
shift || true
python="${PYTHON:-python3}"
peers=("$@")
[ ${#peers[@]} -gt 0 ] || peers=(curator distilabel data_designer)

package() {
  case "$1" in
    curator) echo "bespokelabs-curator==${CURATOR_VERSION:-0.1.31}" ;;
    # Its OpenAI client is an extra; it imports requests and Pillow without requiring them.
    distilabel) echo "distilabel[openai]==${DISTILABEL_VERSION:-1.5.3} requests pillow" ;;
    data_designer) echo "data-designer==${DATA_DESIGNER_VERSION:-0.9.7}" ;;
    *) echo "no peer $1; there are curator, distilabel, data_designer" >&2; return 2 ;;
  esac
}

for peer in "${peers[@]}"; do
  wanted="$(package "$peer")"
  [ -x "$where/$peer/bin/python" ] || "$python" -m venv "$where/$peer"
  echo "building $where/$peer with $wanted"
  "$where/$peer/bin/python" -m pip install --quiet --disable-pip-version-check $wanted
done
