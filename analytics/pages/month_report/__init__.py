"""The month report: a month on paper, from the same reports as the Overview."""
