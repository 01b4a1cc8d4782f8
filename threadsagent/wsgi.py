"""The WSGI entry point for gunicorn."""

import os

from django.core.wsgi import get_wsgi_application

from threadsagent import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "threadsagent.settings")

tracing.start("web")  # first, as it adds to the middleware

application = get_wsgi_application()
