"""Domains: declarations only, one file each."""
