"""Hook of mkdocs that turns Sphinx roles in docstrings into code or links.

mkdocstrings renders docstrings as Markdown, which leaves the name of a role, such as ``:class:``,
in the text.
"""

from __future__ import annotations

import re
from typing import Any

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod|obj):<code>~?([\w.]+)</code>")


def without_roles(html: str) -> str:
    """Replaces roles with their names, linked if the page documents the object."""

    def replacement(role: re.Match[str]) -> str:
        name = role[1]
        code = f"<code>{name}</code>"
        return f'<a href="#{name}">{code}</a>' if f'id="{name}"' in html else code

    return ROLE.sub(replacement, html)


def on_page_content(html: str, **_: Any) -> str:
    """Replaces the roles in the HTML of a page; mkdocs calls it for each page."""
    return without_roles(html)
