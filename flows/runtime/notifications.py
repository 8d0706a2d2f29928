"""Notification blocks in Prefect: whether a setting names one, and how messages are sent."""

from collections.abc import Iterator
from itertools import count

from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client

from tasks.core.contracts import UserError

PAGE_SIZE = 200  # maximum blocks that the server returns per request
CAPABILITY = "notify"  # of a block that sends messages
HOW_TO_CREATE = "`prefect block create slack-webhook` prints the page that creates one"


def require_block(name: str | None) -> None:
    """Check at the start of a run that its messages can be sent.

    Raises:
        UserError: Prefect has no notification block of this name.
    """
    if name is None:
        return
    with get_client(sync_client=True) as client:
        existing = sorted(notification_blocks(client))
    if name not in existing:
        there_are = f"there are {', '.join(existing)}" if existing else "there is none"
        message = f"Prefect has no notification block '{name}': {there_are}. {HOW_TO_CREATE}."
        raise UserError(message)


def notification_blocks(client: SyncPrefectClient) -> Iterator[str]:
    """Names of all notification blocks, as in `slack-webhook/team`."""
    for first in count(0, PAGE_SIZE):
        blocks = client.read_block_documents(offset=first, limit=PAGE_SIZE, include_secrets=False)
        for block in blocks:
            schema, kind = block.block_schema, block.block_type
            if schema and kind and CAPABILITY in schema.capabilities:
                yield f"{kind.slug}/{block.name}"
        if len(blocks) < PAGE_SIZE:
            return


def send(block_name: str, subject: str, text: str) -> None:
    """Send a message through a notification block."""
    block = Block.load(block_name)
    if not isinstance(block, NotificationBlock):
        raise ValueError(f"{block_name} is not a notification block")
    # Typed as a coroutine, but outside an event loop Prefect's blocks send before they return.
    block.notify(text, subject=subject)  # type: ignore[unused-coroutine]
