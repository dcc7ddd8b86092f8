"""Images of the runtimes: what they are made of, how they are built, looked into and tried.

`catalogue.IMAGES` lists them; `changes` says which are others than at a commit.
"""
