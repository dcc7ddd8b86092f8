"""One prediction, for whoever has to answer for it: every record of it, and a page made of them.

`records` reads Kafka, `dossier` is what was found of one prediction, `page` draws it.
A page is a function of its dossier alone: the same records give the same bytes.
"""
