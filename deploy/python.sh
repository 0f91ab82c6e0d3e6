#!/bin/sh
# Prints the Python that .venv is made with: one of 3.11, which everything is tested with, before one of a later version,
# and of several the fastest. A build without profile-guided optimisation, as version managers make them, takes up to
# twice as long for the same.
probe='
import sys, ensurepip, venv
from timeit import repeat

class Sum:
    def __init__(self, start):
        self.value = start
    def add(self, row):
        self.value += len(row["b"])
        return f"{self.value}-{row}" if isinstance(row, dict) else None

def work():
    for i in range(500):
        Sum(i).add({"a": i, "b": [i]})

if sys.version_info >= (3, 11):
    print(sys.version_info[1], min(repeat(work, number=10, repeat=30)), sys.executable)
'
for python in python3 python3.11 python3.12 python3.13 python3.14 /usr/local/bin/python3 /usr/bin/python3; do
    "$python" -c "$probe" 2>/dev/null
done | sort -k 1,1n -k 2,2g | head -n 1 | cut -d ' ' -f 3-
