from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="InputError")


@_attrs_define
class InputError:
    """One fault of the input, and where it is.

    Attributes:
        detail (str): What is wrong with the value.
        pointer (str | Unset): The place of the fault in the body, as a JSON Pointer (RFC 6901).
        parameter (str | Unset): The name of the query parameter that is wrong.
        header (str | Unset): The name of the header that is wrong.
    """

    detail: str
    pointer: str | Unset = UNSET
    parameter: str | Unset = UNSET
    header: str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        detail = self.detail

        pointer = self.pointer

        parameter = self.parameter

        header = self.header

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "detail": detail,
            }
        )
        if pointer is not UNSET:
            field_dict["pointer"] = pointer
        if parameter is not UNSET:
            field_dict["parameter"] = parameter
        if header is not UNSET:
            field_dict["header"] = header

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        detail = d.pop("detail")

        pointer = d.pop("pointer", UNSET)

        parameter = d.pop("parameter", UNSET)

        header = d.pop("header", UNSET)

        input_error = cls(
            detail=detail,
            pointer=pointer,
            parameter=parameter,
            header=header,
        )

        return input_error
