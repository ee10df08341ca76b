"""Watching models that serve: forecasts meet outcomes, rules move models, experiments compare.

Everything here is pure or folds facts in the order in which they were recorded: a process that
was killed reads them again and stands where it stood. `api.watching` runs it beside the store.
"""
