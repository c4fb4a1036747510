"""A Celery worker on Warren, with Celery's own kombu and nothing of Warren's: a task that notifies clients,
and a consumer of events beside the tasks.

    pip install celery
    AMQP_URL=amqp://guest:guest@localhost/%2F celery -A celery_app worker --pool solo
    python -c 'from celery_app import invoice; invoice.delay("ann", 7)'
"""

import json
import os
import uuid
from typing import Any

import kombu
from celery import Celery, bootsteps

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost/%2F")

# Publisher confirms are off in kombu by default; with them a task that has ended well has reached the broker.
app = Celery("celery_app", broker=URL, broker_transport_options={"confirm_publish": True})
app.conf.task_default_queue = "app.celery"
app.conf.broker_connection_retry_on_startup = True
app.conf.task_acks_late = True

# Warren declares its exchanges; a backend's user need not, and must not.
EVENTS = kombu.Exchange("warren.events", "topic", no_declare=True)
# A queue that outlives this process, shared by all workers.
QUEUE = kombu.Queue(
    "app.celery.events",
    EVENTS,
    "client.connected",
    queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": 20},
)


def notify(key: str, payload: object, ident: str, kind: str = "NOTIFICATION") -> None:
    """Publish to room.<room>, user.<user>, conn.<id> or all; return once the broker has it."""
    with app.producer_pool.acquire(block=True, timeout=10) as producer:
        producer.publish(
            json.dumps(payload).encode(),
            exchange="warren.notify",
            routing_key=key,
            content_type="application/json",
            content_encoding="utf-8",
            type=kind,
            # it counts once, however often it is published under the same id
            message_id=ident,
            delivery_mode=2,
            mandatory=True,
            # sent again where the connection breaks meanwhile
            retry=True,
            retry_policy={"max_retries": 5, "interval_start": 0.2, "interval_step": 0.5},
        )


@app.task(bind=True, autoretry_for=(OSError, kombu.exceptions.OperationalError), retry_backoff=True)
def invoice(task: Any, user: str, number: int) -> None:
    """Tell a user of an invoice; a retry has the same id, so it counts once."""
    notify(f"user.{user}", {"invoice": number}, f"invoice-{number}", "invoice")


class WarrenEvents(bootsteps.ConsumerStep):
    """Hears events in the worker, and leaves the work to tasks."""

    def get_consumers(self, channel: Any) -> list[kombu.Consumer]:
        return [kombu.Consumer(channel, [QUEUE], callbacks=[self.heard], accept=["json"], prefetch_count=16)]

    def heard(self, event: dict[str, Any], message: kombu.Message) -> None:
        if event.get("connections") == 1:
            # the event's id is the task's: where the event comes twice, the notification counts once
            welcome.apply_async((event["user"], event["event_id"]), task_id=f"welcome-{event['event_id']}")
        message.ack()


@app.task
def welcome(user: str, event: str) -> None:
    notify(f"user.{user}", {"text": f"hello {user}"}, f"welcome-{event}", "welcome")


app.steps["consumer"].add(WarrenEvents)

if __name__ == "__main__":
    invoice.delay("ann", uuid.uuid4().int % 1_000)
