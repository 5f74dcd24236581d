"""python -m indexer."""

from indexer.cli import main

if __name__ == "__main__":  # a process that is started with spawn imports this module
    main()
