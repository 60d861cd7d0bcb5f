#!/bin/sh
# `npm start`: installs what is missing, then becomes the daemon with its defaults; the first start also makes
# a volume to try. Everything is done by exec, so signals sent to this process reach the daemon.
set -eu
cd -- "$(dirname -- "$0")/.."
node tools/install-packages.mjs
exec bin/ropewalk serve --first-volume vol0:10GiB "$@"
