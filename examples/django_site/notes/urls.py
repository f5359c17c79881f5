from django.urls import path

from . import views

app_name = "notes"
urlpatterns = [
    path("", views.index, name="index"),
    path("new/", views.create, name="create"),
    path("notes/<int:pk>/", views.detail, name="detail"),
    path("notes/<int:pk>/attachment/", views.attachment, name="attachment"),
    path("notes.csv", views.export, name="export"),
    path("health/", views.health, name="health"),
]
