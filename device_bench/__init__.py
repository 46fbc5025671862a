"""Latency measurements that hold up, and what they were measured on."""
