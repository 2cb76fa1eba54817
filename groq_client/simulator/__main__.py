"""``python -m groq_client.simulator``: the simulator without Django."""

import sys

from groq_client.simulator.command import main

sys.exit(main())
