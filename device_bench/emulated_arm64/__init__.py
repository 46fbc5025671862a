"""An aarch64 Debian userland on an x86-64 machine, run by qemu-user: build.sh makes it, instructions.c counts in it."""
