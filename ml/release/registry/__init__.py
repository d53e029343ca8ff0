"""The Model Registry of OpenShift AI: where what was promoted is listed for others.

Imports requests, the log and the store; nothing here decides about a promotion. The registry shows what the
log says: it can be down, empty or replaced, and `sync` brings it up to date. Start reading at
`registration.sync`.
"""
