"""The benchmarks of Carme. Python 3.9 and later, standard library only; Linux, since it reads /proc."""
