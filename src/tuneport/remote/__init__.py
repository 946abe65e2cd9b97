"""Runs elsewhere: submitted once, remembered in the workspace, followed with few calls."""
