"""URLs of the project. Under DEBUG the application serves its static files itself, so that the example works alone."""

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("notes.urls")),
]
urlpatterns += staticfiles_urlpatterns()  # empty unless DEBUG
