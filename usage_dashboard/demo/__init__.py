"""The content of ``make demo``: people, 90 days of history and live calls. Only the demo command imports it."""

PASSWORD = "groq-ledger-demo"  # noqa: S105 - printed on the terminal, and said to be for the demonstration only
