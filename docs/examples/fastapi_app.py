"""A FastAPI application on Warren: it notifies clients, answers what they ask, and hears who comes and goes.

pip install warren-backend fastapi uvicorn
AMQP_URL=amqp://guest:guest@localhost/%2F uvicorn fastapi_app:app

curl -X POST localhost:8000/orders/7/paid?user=ann
curl localhost:8000/online
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException

from warren_backend import Backend, BackendError, Event, Refused, Request, user

backend = Backend(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost/%2F"))

# Stands for your own database.
PAID: dict[int, str] = {}
ONLINE: dict[str, int] = {}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Connect with the application, and stop in order: what clients have asked is answered before."""
    async with backend:
        yield


app = FastAPI(lifespan=lifespan)


def warren() -> Backend:
    """Give endpoints the backend; tests override it, or use warren_backend.testing."""
    return backend


Warren = Annotated[Backend, Depends(warren)]


@app.post("/orders/{order}/paid")
async def paid(order: int, user: str, warren: Warren) -> dict[str, Any]:
    """Tell a user's clients that an order was paid, and say whether somebody was there."""
    PAID[order] = user
    try:
        # The id makes it count once, also where this request is repeated.
        sent = await warren.notify(
            f"user.{user}", {"order": order}, type="order.paid", id=f"order-{order}-paid", receipt="written"
        )
        receipt = await sent.receipt()
    except BackendError as error:
        raise HTTPException(503, str(error)) from error
    return {"connections": receipt.connections, "written": receipt.complete}


@app.get("/online")
async def online() -> list[str]:
    """Tell who is connected, as the events say."""
    return sorted(name for name, connections in ONLINE.items() if connections)


@backend.service("orders.get")
async def get_order(request: Request) -> dict[str, Any]:
    """Answer REQUEST orders.get {"id": 7} of a client; it sees only its own orders."""
    match request.payload:
        case {"id": int(order)} if PAID.get(order) == request.user:
            return {"id": order, "paid": True}
    raise Refused("not_found", "There is no such order.")


@backend.on("client.connected", "client.disconnected")
async def connections(event: Event) -> None:
    """Count connections; each event counts once, in its order."""
    ONLINE[event.user] = event.connections or 0
    if event.came:
        await backend.notify(
            user(event.user), {"open": [key for key, who in PAID.items() if who == event.user]}
        )
