"""The egress proxy: the one way from sandboxes out to named hosts. docs/adr/0023-network-of-sandboxes.md has why.

It relays the bytes of programs that nobody trusts, so it has no key and no secret but the person's
for a proxy of their own on the way out, and is a program of its own.
"""
