"""Schedulers: each decides on a report whether a trial goes on."""
