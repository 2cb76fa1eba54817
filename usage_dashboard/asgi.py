"""What gunicorn serves."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "usage_dashboard.settings")
application = get_asgi_application()

from usage_dashboard.checks import refuse_unsafe_start  # noqa: E402 - after Django is set up

refuse_unsafe_start()
