"""What gunicorn needs to be told whenever it serves the project; it reads this file in the directory it is started in.

The command line and GUNICORN_CMD_ARGS come after, so that anything here can be set otherwise.
"""

import contextlib
import os
import resource

# Unlimited in gunicorn's words, which is a megabyte. Its own refusal is a bare line of text;
# usage_dashboard.middleware refuses much shorter addresses, by a page that says what to do.
limit_request_line = 0

# For those who turn the access log on (--access-logfile): without the query of an address and without the header
# Referer, where programs put keys by mistake.
access_log_format = '%(h)s %(t)s "%(m)s %(U)s %(H)s" %(s)s %(b)s %(M)s ms "%(a)s"'

# A call through the gateway takes two sockets. Many systems allow a process 1,024 files unless it asks for more.
OPEN_FILES = 65_536
with contextlib.suppress(ValueError, OSError):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))

# The workers tell what all processes of this server take (api.metrics.processes).
os.environ["USAGE_SERVER_PID"] = str(os.getpid())
