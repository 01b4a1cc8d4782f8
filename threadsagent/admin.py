from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from threadsagent.models import User

admin.site.site_header = "ThreadsAgent"
admin.site.site_title = "ThreadsAgent"
admin.site.index_title = "Console"
admin.site.register(User, UserAdmin)
