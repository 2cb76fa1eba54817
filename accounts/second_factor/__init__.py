"""Second factors: codes of an app (TOTP), passkeys (WebAuthn), and recovery codes for whoever has lost both.

allauth keeps them and does the arithmetic. What it would keep in the memory of one process, such as limits and used
codes, is kept in the database here, because a ledger has several processes.
"""
