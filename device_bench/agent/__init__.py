"""What measures on a device: the standard library, numpy and one runtime; Python 3.10 and newer."""
