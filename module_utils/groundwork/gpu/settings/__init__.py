"""What a GPU is told to be beside its layout: persistence, power, clocks, compute mode, ECC."""
