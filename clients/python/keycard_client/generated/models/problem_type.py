from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="ProblemType")


@_attrs_define
class ProblemType:
    """
    Attributes:
        type_ (str): The `type` of a problem of this kind.
        slug (str): The name of the kind; it never changes.
        title (str): The kind in a few words.
        status (int): The HTTP status.
        explanation (str): What happened.
        remedy (str): What to do.
    """

    type_: str
    slug: str
    title: str
    status: int
    explanation: str
    remedy: str

    def to_dict(self) -> dict[str, Any]:
        type_ = self.type_

        slug = self.slug

        title = self.title

        status = self.status

        explanation = self.explanation

        remedy = self.remedy

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "type": type_,
                "slug": slug,
                "title": title,
                "status": status,
                "explanation": explanation,
                "remedy": remedy,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        type_ = d.pop("type")

        slug = d.pop("slug")

        title = d.pop("title")

        status = d.pop("status")

        explanation = d.pop("explanation")

        remedy = d.pop("remedy")

        problem_type = cls(
            type_=type_,
            slug=slug,
            title=title,
            status=status,
            explanation=explanation,
            remedy=remedy,
        )

        return problem_type
