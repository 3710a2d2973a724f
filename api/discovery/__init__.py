"""Discovery: what a client can learn about this service without being known. Metadata, configuration, problems."""
