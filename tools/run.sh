#!/bin/sh
# Runs a script of the repository with the pinned Node, installing the packages first where they are missing.
# Needs only sh, npm and the Node that npm came with (20 or newer). Usage: tools/run.sh FILE [ARGUMENT]...
set -eu
cd -- "$(dirname -- "$0")/.."
node tools/install-packages.mjs
: "${UV_THREADPOOL_SIZE:=16}"
export UV_THREADPOOL_SIZE
exec node_modules/.bin/node "$@"
