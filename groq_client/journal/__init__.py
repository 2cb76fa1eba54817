"""The way of an ended call out of this process: a journal on disk, and a thread that brings calls to their destination.

The destination is the ledger's database (``ledger.journal``) or the ledger's door for events
(``groq_client.http_recorder``). ``journal`` keeps what has not arrived, ``writer`` brings calls there in groups, and
``replay`` brings what ended processes left behind.
"""
