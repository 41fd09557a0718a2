"""Samples and scores in datagrams."""
