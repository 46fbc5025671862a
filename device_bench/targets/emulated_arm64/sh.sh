#!/bin/sh
# A shell of an aarch64 machine, all of whose programs are aarch64 ones; build.sh puts it beside the rootfs it runs.
# proot starts every program with qemu. Of this machine the rootfs shows /dev, /tmp and the working folder.
here=$(dirname "$(readlink -f "$0")")
export QEMU_CPU="${QEMU_CPU:-cortex-a72}" LD_LIBRARY_PATH="$here/qemu/plugin/lib" PATH=/usr/local/bin:/usr/bin:/bin
exec "$here/qemu/proot" -q "$here/qemu/qemu-aarch64 -U LD_LIBRARY_PATH" -r "$here/rootfs" -b /dev -b /tmp -b "$PWD" \
    -w "$PWD" /bin/sh "$@"
