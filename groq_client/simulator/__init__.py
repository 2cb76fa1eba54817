"""A local stand-in for Groq: it speaks Groq's HTTP protocol over a real socket, with scripted faults.

Start it with ``python -m groq_client.simulator`` (or ``manage.py groq_simulator``), or inside a test with
:func:`groq_client.simulator.server.running_simulator`. ``--list-faults`` shows what it can be told to do wrong.
"""
