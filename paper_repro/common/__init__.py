"""What the experiments share: data, strategies, curves, tables."""
