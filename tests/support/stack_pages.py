"""Pages of Prefect and MLflow in a browser: their login, their panels, what is wrong with them."""

import base64

from playwright.sync_api import Page

#: Of Prefect's and MLflow's own pages: icons, a login, a graph that is left while it is drawn,
#: a page whose size changes.
FOREIGN_COMPLAINTS = (
    *("/ico/undefined.svg", "/favicon.ico", "/mlflow/users/current"),
    "Cannot read properties of null (reading 'getBoundingClientRect')",
    "ResizeObserver loop completed with undelivered notifications",
)


def log_in(page: Page, password: str) -> None:
    """Have the page know Prefect's password from its start, as after a login by hand."""
    encoded = base64.b64encode(password.encode()).decode()
    login = f"localStorage.setItem('prefect-password', '{encoded}')"
    page.add_init_script(f"if (window === window.top) {login}")  # a report's frame has no storage


def keep_assistant_closed(page: Page) -> None:
    """Have MLflow's pages know that their assistant has been seen: it opens at the first visit."""
    key = "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1"
    page.add_init_script(f"if (window === window.top) localStorage.setItem('{key}', 'true')")
