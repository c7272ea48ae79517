"""``python -m tocsin.cli`` is ``tocsin``."""

import sys

from tocsin.cli import main

sys.exit(main())
