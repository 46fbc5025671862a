#!/bin/sh
# A Python interpreter of an aarch64 machine; build.sh puts it beside the rootfs it runs.
here=$(dirname "$(readlink -f "$0")")
export PYTHONHOME="$here/rootfs/usr" PYTHONDONTWRITEBYTECODE=1 QEMU_CPU="${QEMU_CPU:-cortex-a72}"
# -0: sys.executable is this script, so that a subprocess of it is emulated too.
exec "${EDGE_QEMU:-$here/qemu/qemu-aarch64}" -L "$here/rootfs" -0 "$here/python3" "$here/rootfs/usr/bin/python3.11" "$@"
