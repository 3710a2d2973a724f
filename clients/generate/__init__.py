"""The clients are made from the OpenAPI document: `python -m clients.generate`."""
