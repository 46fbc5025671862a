"""The roads from a checkpoint or a foreign file to an artifact."""
