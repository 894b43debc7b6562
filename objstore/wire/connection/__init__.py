"""The connection: sockets, logins, one reader thread, requests, reconnects."""
