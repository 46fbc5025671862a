"""Proving an artifact: parameters, end to end, operator by operator, accuracy; the library behind `edge verify`."""
