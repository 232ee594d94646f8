"""``python -m worker.schemas [FOLDER]`` writes the generated files of ``schemas/``."""

import sys
from pathlib import Path

from worker.schemas.files import write

if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "schemas"))
