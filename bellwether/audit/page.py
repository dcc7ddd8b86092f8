"""A dossier as one page: the same dossier gives the same bytes."""

import re
from collections.abc import Callable

from . import dossier, judgement, markup, provenance
from .markup import Markup

_DATA = re.compile(r'<script type="application/json" id="dossier">(.*?)</script>', re.DOTALL)

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2024; max-width: 62rem; margin: 2rem auto;
  padding: 0 1.25rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; padding-top: .75rem; border-top: 1px solid #d5dade; }
nav a { margin-right: .9rem; }
a { color: #175a93; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .9rem .25rem 0;
  border-bottom: 1px solid #e8ebee; overflow-wrap: anywhere; }
thead th { color: #59636e; font-weight: 600; }
.pairs th { color: #59636e; font-weight: 500; min-width: 12rem; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
.quiet { color: #59636e; }
.bad { color: #8d1022; font-weight: 600; }
pre { background: #f5f7f8; padding: .9rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: .82rem; }
svg { width: 100%; max-width: 780px; font-size: 12px; }
@media print { nav { display: none; } section { break-inside: avoid-page; } }
"""

_SECTIONS: tuple[tuple[str, str, Callable[[dossier.Dossier], Markup]], ...] = (
    ("forecast", "What was forecast, and decided", judgement.forecast),
    ("inputs", "What was asked", provenance.inputs),
    ("features", "Features, and when they were known", provenance.features),
    ("quality", "Quality of the data", provenance.quality),
    ("drift", "Drift and anomaly", judgement.unusual),
    ("regime", "The market's regime, and the choice of a model", judgement.regime),
    ("explanation", "Why the forecast is what it is", judgement.explanation),
    ("rules", "Rules that fired", judgement.rules),
    ("reward", "What it was worth", judgement.reward),
    ("model", "The model, and its card", provenance.model),
    ("steps", "What happened, in order", provenance.steps),
)


def render(found: dossier.Dossier) -> str:
    """Give the page as HTML: complete, without a call to the outside, with its records inside."""
    drawn = [(name, title, draw(found)) for name, title, draw in _SECTIONS]
    shown = [(name, title, body) for name, title, body in drawn if body]
    links = markup.join(
        Markup(f'<a href="#{name}">{markup.text(title)}</a>') for name, title, _ in shown
    )
    body = markup.join(markup.section(name, title, part) for name, title, part in shown)
    data = found.encode().replace("<", "\\u003c")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Prediction {markup.text(found.id)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>Prediction {markup.text(found.id)}</h1>
{judgement.summary(found)}
<nav aria-label="sections">{links}</nav>
</header>
<main>
{body}
</main>
<footer>
<p class="quiet">Made of {len(found.entries)} records; SHA-256 of all of them, as they are inside this
page: <code>{found.digest}</code>. The same records give this page again, to the byte:
<code>bellwether audit {markup.text(found.id)} --from PAGE.html</code>.</p>
</footer>
<script type="application/json" id="dossier">{data}</script>
</body>
</html>
"""


def records(page: str) -> dossier.Dossier:
    """Read the records that a page holds; raise `AuditError`."""
    found = _DATA.search(page)
    if found is None:
        raise dossier.AuditError("it is no page of `bellwether audit`: it holds no records")
    return dossier.Dossier.decode(found[1])
