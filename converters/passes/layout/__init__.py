"""Channels-first becomes channels-last."""
