"""What gunicorn serves."""

import gc
import os
from importlib import import_module

from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "usage_dashboard.settings")
application = get_asgi_application()

from usage_dashboard.checks import refuse_unsafe_start  # noqa: E402 - after Django is set up

refuse_unsafe_start()
# What a process is made of stays until it ends. Otherwise every full collection looks through all of it, which holds
# up the page that is being made for a tenth of a second.
import_module(settings.ROOT_URLCONF)  # and with it every view
gc.collect()
gc.freeze()
