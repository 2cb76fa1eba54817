"""What ``make demo`` shows: people, 90 days of history, live calls. Nothing else imports this."""
