"""The views, and where they are."""

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from .models import Order, Visit
from .warren import warren


@csrf_exempt
@require_POST
def order(request: HttpRequest) -> JsonResponse:
    """Take an order, and tell the user's clients once it is in the database, and only then."""
    number, user = int(request.POST["number"]), request.POST["user"]
    with transaction.atomic():
        Order.objects.create(number=number, user=user)
        transaction.on_commit(
            # The id makes it count once. Not robust: a failure to notify does not undo the order.
            lambda: warren.notify(f"user.{user}", {"order": number}, type="order.taken", id=f"order-{number}")
        )
        if request.POST.get("fail"):
            raise ValueError("nothing is told of an order that is rolled back")
    return JsonResponse({"number": number})


@require_GET
def visits(request: HttpRequest, user: str) -> JsonResponse:
    """Tell how often a user has come."""
    visit = Visit.objects.filter(user=user).first()
    return JsonResponse({"visits": visit.visits if visit else 0})


urlpatterns = [path("orders/", order), path("visits/<str:user>/", visits)]
