"""The ledger: all code that writes recorded calls to the database, and all code that repairs the sums.

The ledger also runs inside other people's programs. If such a program has not configured logging, Python would print
our warnings into the program's output. The null handler prevents this; the health page reports the same problems.
"""

import logging

logging.getLogger("usage").addHandler(logging.NullHandler())
