"""Logs of sessions as meters: what a program used that asks its vendor by itself. ADR 18."""
