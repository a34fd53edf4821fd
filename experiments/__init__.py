"""Experiments: scenarios x replications -> labelled results -> figures -> reports."""
