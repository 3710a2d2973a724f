"""OpenAPI: the document, made from the declarations; served and written by the same call."""

from .document import Api, document, served_json, served_yaml, to_json, to_yaml

__all__ = ["Api", "document", "served_json", "served_yaml", "to_json", "to_yaml"]
