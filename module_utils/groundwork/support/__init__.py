"""The support bundle: what is collected, what is taken out of it, and how it is packed."""
