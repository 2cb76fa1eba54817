"""A local stand-in for Groq that speaks Groq's HTTP protocol over a real socket, with scripted faults.

Start it with ``python -m groq_client.simulator`` (or ``manage.py groq_simulator``), or inside a test with
:func:`groq_client.simulator.server.running_simulator`. ``--list-faults`` lists the faults.
"""
