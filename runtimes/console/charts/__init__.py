"""Charts as SVG, drawn where the page is made: nothing to load, themes by the page's own colours."""
