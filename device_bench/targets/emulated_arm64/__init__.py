"""An aarch64 userland under qemu-user, and the target that it is."""
