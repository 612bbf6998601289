"""What the site needs beyond Markdown: formulas as MathML, which browsers draw by themselves, and links to the code."""

import html
import re

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
_CODE = re.compile(r"\]\(\.\./(jaxface/[\w/]+)\.py\)")


def on_page_markdown(markdown, **_):
    """Links to the method's files, which a checkout has beside these pages, lead to the page that shows them."""
    return _CODE.sub(lambda link: f"](code.md#{link[1].replace('/', '.')})", markdown)


def on_page_content(content, **_):
    """Formulas, as LaTeX so far."""
    display = {"(": "inline", "[": "block"}
    return _FORMULA.sub(lambda found: convert(html.unescape(found[3]), display=display[found[2]]), content)
