"""Mail: mailboxes on a server and in files."""
