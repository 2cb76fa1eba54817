"""Saved views: the menu beside the filters, the pages that save and manage views, and the start page."""
