"""``python -m worker`` is ``rsafe``."""

from worker.cli import main

if __name__ == "__main__":
    main()
