"""The genre network in torch: its modules, training and checkpoints."""
