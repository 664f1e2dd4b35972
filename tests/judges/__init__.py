"""The real clients that judge what vtlab reads and writes, each in an environment of its own (`make judges`).

A judge is a file here that runs in its client's environment, takes a folder and prints JSON; it imports nothing of vtlab.
Its environment is made from the pinned packages of the same name in `requirements/`.
"""
