"""Doors for programs that call a model themselves and tell the ledger afterwards: ``POST /api/v1/events``, and
``POST /otlp/v1/traces`` and ``/otlp/v1/logs`` for OpenTelemetry.

``bodies`` reads what was sent, within limits. ``items`` makes objects of it for the first door, and ``otlp`` for the
second. ``intake`` makes calls of the objects by the rules of imports, and records them. ``views`` answers.
"""
