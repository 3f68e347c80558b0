"""Write a stub for every function that nvml.h declares and the library lacks: NOT_SUPPORTED.

Without them a Go program dies with "symbol lookup error", as go-nvml binds each function when it is first called.

Usage: stubs.py nvml.h OBJECT...
"""

import re
import subprocess
import sys
from pathlib import Path

header, *objects = sys.argv[1:]
declared = set(re.findall(r"DECLDIR\s+(nvml\w+)\s*\(", Path(header).read_text()))
symbols = subprocess.run(["nm", *objects], capture_output=True, text=True, check=True).stdout
written = set(re.findall(r" T (nvml\w+)", symbols))
print("int stub(const char *);")
for name in sorted(declared - written):
    print(f'__attribute__((visibility("default"))) int {name}(void) {{ return stub("{name}"); }}')
