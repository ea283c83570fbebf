"""`python -m kaleidobert`, which `torchrun -m kaleidobert` needs."""

from kaleidobert.cli.main import main

main()
