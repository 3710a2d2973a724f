"""OpenAPI: the document, made from the declarations; served and written by the same call."""

from .document import Api, document, served_json, served_yaml, to_json, to_yaml
from .older import to_3_0

__all__ = ["Api", "document", "served_json", "served_yaml", "to_3_0", "to_json", "to_yaml"]
