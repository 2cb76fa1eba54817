"""Prometheus metrics at ``/metrics``, made from the ledger, so that every process gives the same answer."""
