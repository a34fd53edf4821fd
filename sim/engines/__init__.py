"""Engines: what turns a scenario, a seed and a replication into an outcome."""
