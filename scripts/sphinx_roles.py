"""Hook of mkdocs for code in the text of a page.

It turns Sphinx roles in docstrings into code or links: mkdocstrings renders docstrings as Markdown,
which leaves the name of a role, such as ``:class:``, in the text. And it keeps names on one line:
browsers break lines after hyphens, even between ``--`` and the name of an option.
"""

from __future__ import annotations

import re
from typing import Any

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod|obj):<code>~?([\w.]+)</code>")

NAME = re.compile(r"<code>([^<\n]{1,28})</code>")


def without_roles(html: str) -> str:
    """Replaces roles with their names, linked if the page documents the object."""

    def replacement(role: re.Match[str]) -> str:
        name = role[1]
        code = f"<code>{name}</code>"
        return f'<a href="#{name}">{code}</a>' if f'id="{name}"' in html else code

    return ROLE.sub(replacement, html)


def with_unbroken_names(html: str) -> str:
    """Gives short inline code the class ``unbroken``, which the style sheet keeps on one line."""
    return NAME.sub(r'<code class="unbroken">\1</code>', html)


def on_page_content(html: str, **_: Any) -> str:
    """Changes the HTML of a page; mkdocs calls it for each page."""
    return with_unbroken_names(without_roles(html))
