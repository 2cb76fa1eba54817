"""All pages of the Analytics tab, by name."""

from analytics.pages.models.page import MODELS
from analytics.pages.my_usage import MY_USAGE
from analytics.pages.overview.page import OVERVIEW
from analytics.pages.requests.page import REQUESTS
from analytics.pages.sessions import SESSIONS

PAGES = (OVERVIEW, REQUESTS, SESSIONS, MODELS)
"""The pages that the tab offers side by side."""
NAMED = {page.name: page for page in (*PAGES, MY_USAGE)}
