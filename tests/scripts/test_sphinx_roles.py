"""Sphinx roles of docstrings on the pages of the site."""

from loading import load_script

module = load_script("sphinx_roles")
without_roles = module.without_roles

ANCHOR = '<h3 id="phire.fields.grid.Grid">Grid</h3>'


def test_roles_become_code():
    html = "a :class:<code>~phire.fields.Source</code> or :meth:<code>read</code>; <code>x</code>"
    assert without_roles(html) == (
        "a <code>phire.fields.Source</code> or <code>read</code>; <code>x</code>"
    )


def test_objects_of_the_page_are_linked():
    html = f"{ANCHOR} on a :class:<code>phire.fields.grid.Grid</code>"
    link = '<a href="#phire.fields.grid.Grid"><code>phire.fields.grid.Grid</code></a>'
    assert without_roles(html) == f"{ANCHOR} on a {link}"


def test_text_between_colons_stays():
    html = "times 12:00:<code>UTC</code>"
    assert without_roles(html) == html


def test_short_names_are_not_broken_but_blocks_of_code_are():
    block = f"<pre><code>phire info a\n</code></pre> <code>{'x' * 40}</code>"
    html = f"<code>--band S,N</code> {block}"
    assert module.with_unbroken_names(html) == (f'<code class="unbroken">--band S,N</code> {block}')
