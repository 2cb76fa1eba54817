"""Doors out over HTTP: the REST API. Everything that it tells comes from ``analytics.reports`` for a Viewer."""
