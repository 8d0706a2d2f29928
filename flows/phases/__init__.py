"""The phases of `train`: each submits its tasks and passes their futures on."""
