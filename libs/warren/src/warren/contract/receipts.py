"""Receipts: what became of a message whose sender has asked for that.

``accepted``: it is in the log. ``written``: each gateway with members has written it to their sockets, or has
ended. ``seen``: as many users have said that they have seen it as were there. Nothing here decides.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from warren.contract.fields import Address, Count, Epoch, Seq, says

ReceiptLevel = Literal["accepted", "written", "seen"]


class ReceiptPayload(msgspec.Struct, omit_defaults=True, frozen=True):
    """What is known of a message, for the backend that asked."""

    complete: Annotated[
        bool, says("False: the time was over before all was known; the numbers are what is known.")
    ]
    id: Annotated[str, says("The message's id; empty: it had none.")] = ""
    room: Annotated[Address, says("The address that the message went to.")] = ""
    epoch: Annotated[Epoch, says("The epoch of the room; missing: not numbered.")] = ""
    seq: Annotated[Seq, says("The message's number in its room; missing: not numbered.")] = 0
    duplicate: Annotated[
        bool,
        says("True: a message with this id was accepted before, and this one is its repeat."),
    ] = False
    users: Annotated[
        Count, says("How many users were in the room when it was accepted; missing: not counted there.")
    ] = 0
    connections: Annotated[Count, says("How many connections those had.")] = 0
    gateways: Annotated[Count, says("How many gateways held those connections.")] = 0
    written: Annotated[Count, says("How many gateways have written it to their sockets.")] = 0
    lost: Annotated[
        Count, says("How many gateways have ended before they could; their members catch up.")
    ] = 0
    readers: Annotated[Count, says("How many users were there to see it; only of a receipt of `seen`.")] = 0
    seen: Annotated[
        Count, says("How many users have seen it, whether they were there or came later; only of `seen`.")
    ] = 0
    refused: Annotated[str, says("Why the message was refused; it was set aside.")] = ""
    reason: Annotated[str, says("Why nothing is known: `overloaded`, too many receipts are open.")] = ""
