"""What ``make demo`` shows: people, 90 days of history, live calls. Nothing else imports this."""

PASSWORD = "groq-ledger-demo"  # noqa: S105 - printed on the terminal, and said to be for the demonstration only
