"""The C library's allocator, told to keep what a training step frees for the next step.

A step allocates and frees the same activations as the one before, megabytes each. By default glibc gives them back to
the kernel at once and gets them again page by page, zeroed: with MobileNetV2 0.35 on batches of 32 images of 96x96, one
thread, that was a third of a step's time (`man mallopt`: M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD).
"""

import ctypes

# name in malloc.h -> number there, value
SETTINGS = {
    "M_MMAP_MAX": (-4, 0),
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
    "M_TOP_PAD": (-2, 2**26),
}


def keep_freed_memory() -> bool:
    """From now on this process keeps freed memory for itself; whether its C library can be told so (glibc can)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS; Windows
        return False
    told = [mallopt(number, value) for number, value in SETTINGS.values()]
    return all(done == 1 for done in told)
