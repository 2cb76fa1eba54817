"""What is recorded about one person, as a page and as a file."""
