"""Order statistics and tests of differences."""
