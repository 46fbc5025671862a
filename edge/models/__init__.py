"""Vision networks in plain PyTorch, each traceable by torch.fx."""
