#!/bin/sh
# A Python interpreter of an aarch64 machine; build.sh puts it beside the rootfs it runs.
here=$(dirname "$(readlink -f "$0")")
export PYTHONHOME="$here/rootfs/usr" PYTHONDONTWRITEBYTECODE=1 QEMU_CPU="${QEMU_CPU:-cortex-a72}"
root=$here/cpus/$QEMU_CPU
[ -d "$root" ] || root=$here/rootfs
qemu=$here/qemu/qemu-aarch64
# -0: sys.executable is this script, so that a subprocess of it is emulated too.
set -- -L "$root" -0 "$here/python3" "$here/rootfs/usr/bin/python3" "$@"
if [ -n "${QEMU_PLUGIN:-}" ]; then # only the dynamic qemu takes plugins; its libraries are not the guest's
    export LD_LIBRARY_PATH="$here/qemu/plugin/lib"
    qemu=$here/qemu/plugin/qemu-aarch64
    set -- -U LD_LIBRARY_PATH "$@"
fi
exec "${EDGE_QEMU:-$qemu}" "$@"
