"""Data: where it comes from, how it lies on disk, its versions, and whether it is fit to be learned from."""
