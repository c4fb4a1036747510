"""Backends of Warren in Python: notifications with receipts, services, events, hooks and commands.

Everything that an application needs is here, but for ``warren_backend.http_control`` (commands over HTTP),
``warren_backend.testing`` (a stand-in for unit tests) and ``warren_backend.contract`` (the types of all
messages).
"""

from warren_backend.backend import Backend
from warren_backend.blocking import BlockingBackend, BlockingSent
from warren_backend.control import Control
from warren_backend.core.addresses import EVERYONE, connection, room, user
from warren_backend.core.answers import Answers, MemoryAnswers
from warren_backend.core.decision import (
    UNCHANGED,
    AllowConnect,
    AllowJoin,
    AllowPublish,
    ConnectQuestion,
    Deny,
    JoinQuestion,
    PublishQuestion,
)
from warren_backend.core.errors import (
    AccessRefused,
    BackendError,
    BrokerUnavailable,
    CommandFailed,
    CommandUnanswered,
    Expired,
    InvalidNotification,
    InvalidRoute,
    NotConfirmed,
    NotificationRefused,
    Overloaded,
    QueueMismatch,
    ReceiptUnknown,
    Refused,
    Stopped,
    Unroutable,
)
from warren_backend.core.event import Event
from warren_backend.core.notification import Notification
from warren_backend.core.once import MemoryOnce, Once
from warren_backend.core.outbox import Limits
from warren_backend.core.receipts import Receipt
from warren_backend.core.request import Last, Part, Request
from warren_backend.core.routes import Routes
from warren_backend.shell.notifier import Sent
from warren_backend.version import __version__

__all__ = [
    "EVERYONE",
    "UNCHANGED",
    "AccessRefused",
    "AllowConnect",
    "AllowJoin",
    "AllowPublish",
    "Answers",
    "Backend",
    "BackendError",
    "BlockingBackend",
    "BlockingSent",
    "BrokerUnavailable",
    "CommandFailed",
    "CommandUnanswered",
    "ConnectQuestion",
    "Control",
    "Deny",
    "Event",
    "Expired",
    "InvalidNotification",
    "InvalidRoute",
    "JoinQuestion",
    "Last",
    "Limits",
    "MemoryAnswers",
    "MemoryOnce",
    "NotConfirmed",
    "Notification",
    "NotificationRefused",
    "Once",
    "Overloaded",
    "Part",
    "PublishQuestion",
    "QueueMismatch",
    "Receipt",
    "ReceiptUnknown",
    "Refused",
    "Request",
    "Routes",
    "Sent",
    "Stopped",
    "Unroutable",
    "__version__",
    "connection",
    "room",
    "user",
]
