"""The ASGI application that gunicorn serves."""

import gc
import os
from importlib import import_module

from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "usage_dashboard.settings")
django_application = get_asgi_application()

from gateway.application import Gateway  # noqa: E402 - after Django is set up
from gateway.ingestion.entrance import Entrance  # noqa: E402
from usage_dashboard.checks import refuse_unsafe_start  # noqa: E402
from usage_dashboard.limited_bodies import LimitedBodies  # noqa: E402
from usage_dashboard.observed import Observed  # noqa: E402
from usage_dashboard.root_path import UnderRootPath  # noqa: E402

limited = LimitedBodies(django_application, settings.ROOT_PATH)
entered = Entrance(limited, settings.ROOT_PATH)
pages = UnderRootPath(entered, settings.ROOT_PATH) if settings.ROOT_PATH else entered
application = Observed(Gateway(pages, settings.ROOT_PATH) if settings.GATEWAY else pages)
refuse_unsafe_start()
# The objects made so far live as long as the process. Freezing them spares each full garbage collection from visiting
# them, which would delay a page by a tenth of a second.
import_module(settings.ROOT_URLCONF)  # This imports every view.
gc.collect()
gc.freeze()
