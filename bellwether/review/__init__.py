"""What a reviewer of a pull request reads: previews, rendered differences, risks, one comment.

Pure functions over typed models; what they are made from are the JSON files of other commands.
"""
