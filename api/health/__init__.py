"""Health: is the process alive, and can it do its work; and the port on which the operator sees more of it."""
