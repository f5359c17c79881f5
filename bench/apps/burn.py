"""Pure-Python work of a fixed size. LOOPS (environment) is how many turns make 1 ms of CPU on this machine.

`bench/run.py` measures it once and gives the same number to every server: the work is fixed, not the time.
"""

import os

LOOPS = float(os.environ["LOOPS"])


def burn(milliseconds):
    x = 0
    for i in range(int(milliseconds * LOOPS)):
        x += i * i
    return x
