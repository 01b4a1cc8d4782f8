"""`make run`: the whole system on this machine, from nothing, until Ctrl-C.

Starts PostgreSQL and Valkey (unless the environment names others), prepares the database, starts
the fake platform, the web process, the Celery workers and beat, says where to look, and reports
what happens. Whatever ends it, it takes down what it started and nothing else. Its state is in
`.data/` in the project, and the next run goes on from there.

No Django in this process: Django's settings need the addresses of what is started here.
"""
