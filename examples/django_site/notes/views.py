"""The pages: a list with a visit counter, a form with an upload, a download, a streamed export, a health answer."""

import csv
import os

from django.contrib import messages
from django.http import FileResponse, Http404, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from .forms import NoteForm
from .models import Note


@require_safe
def index(request):
    # The session lives in the database: it does not matter which worker process answers the next visit.
    request.session["visits"] = request.session.get("visits", 0) + 1
    context = {"notes": Note.objects.all()[:50], "visits": request.session["visits"]}
    return render(request, "notes/index.html", context)


def create(request):
    form = NoteForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        note = form.save()
        messages.success(request, f"“{note.title}” is saved.")
        return redirect(note)
    return render(request, "notes/form.html", {"form": form}, status=400 if form.errors else 200)


@require_safe
def detail(request, pk):
    return render(request, "notes/detail.html", {"note": get_object_or_404(Note, pk=pk)})


@require_safe
def attachment(request, pk):
    note = get_object_or_404(Note, pk=pk)
    if not note.attachment:
        raise Http404("This note has no attachment.")
    # FileResponse hands the open file to the server (wsgi.file_wrapper). A visitor's file is never shown inline.
    return FileResponse(note.attachment.open("rb"), as_attachment=True, filename=os.path.basename(note.attachment.name))


class Line:
    """A file-like object that gives the line back: csv.writer needs something to write to."""

    def write(self, line):
        return line


@require_safe
def export(request):
    writer = csv.writer(Line())
    rows = Note.objects.order_by("id").values_list("id", "title", "created").iterator(chunk_size=500)

    def lines():
        yield writer.writerow(["id", "title", "created"])
        for number, title, created in rows:
            yield writer.writerow([number, title, created.isoformat()])

    headers = {"Content-Disposition": 'attachment; filename="notes.csv"'}
    return StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8", headers=headers)


@require_safe
def health(request):
    return JsonResponse({"notes": Note.objects.count(), "pid": os.getpid()})
