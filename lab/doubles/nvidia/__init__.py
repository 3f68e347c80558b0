"""The double of NVIDIA's driver: hardware, library, kernel side and packages (docs/lab.md says what is simulated)."""
