"""Probes: what can be read off frozen representations, and how much of that is the probe's own doing."""
