"""What runs of this process have queued for a Prefect server: sent before the server ends.

The queue of events keeps the server that it was made for: events of later tests would wait for it
in vain, and their errors be printed on the terminal of whichever test is running.
"""

from concurrent.futures import ThreadPoolExecutor

from flows.runtime.queued_records import send_queued_records

SECONDS = 120  # a busy server takes most of a minute


def send_queued() -> None:
    """Send events and log lines, and begin with new queues.

    In a thread: where a browser's event loop runs in this one, Prefect would not wait.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(send_queued_records, SECONDS).result()
