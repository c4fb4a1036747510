"""``manage.py serve_warren``: answer what clients ask and hear events until SIGTERM; start any number."""

import asyncio

from django.core.management.base import BaseCommand

from shop.warren import backend


class Command(BaseCommand):
    help = "Answers what clients ask, and hears events."

    def handle(self, *args: object, **options: object) -> None:
        asyncio.run(backend.run(on_start=lambda: self.stdout.write("serving")))
