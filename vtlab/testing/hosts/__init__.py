"""Hosts that are none: small loopback servers that answer as an annotation tool does and remember what they were asked."""
