"""``python -m bonelift``: the command line, where the script ``bonelift`` is not on the path."""

import sys

from bonelift.cli import main

sys.exit(main())
