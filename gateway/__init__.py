"""The gateway: any program that calls Groq is in the ledger with one changed line, its base URL.

A small ASGI application in front of Django's. Requests go to Groq and answers come back byte for byte, and the recorder
of the SDK path (``groq_client.recording``) finishes each call from the bytes that pass. docs/gateway.md describes what
a client sees.
"""
