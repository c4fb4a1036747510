"""The one backend of the project: its routes, and the blocking one for views, which are synchronous."""

from django.conf import settings
from django.db import IntegrityError, transaction

from warren_backend import Backend, BlockingBackend, Event, Refused, Request

from .models import Handled, Order, Visit

backend = Backend(settings.AMQP_URL)
# It connects with the first call, in each process of its own.
warren = BlockingBackend(Backend(settings.AMQP_URL))


@backend.service("orders.get")
def get_order(request: Request) -> dict[str, object]:
    """Answer a client, in a thread: the ORM is synchronous."""
    order = Order.objects.filter(number=request.payload["number"], user=request.user).first()
    if order is None:
        raise Refused("not_found", "There is no such order.")
    return {"number": order.number, "user": order.user}


@backend.on("client.connected", queue="shop.visits")
def visited(event: Event) -> None:
    """Count visits exactly once: the event's key and the count stand in one transaction."""
    if not event.came:
        return
    try:
        with transaction.atomic():
            Handled.objects.create(key=event.key)
            visit, _ = Visit.objects.get_or_create(user=event.user)
            visit.visits += 1
            visit.save()
    except IntegrityError:
        pass  # it was counted before
