"""The frozen, strict, validated data that scenarios are made of, and refusals in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from backwater.errors import ScenarioError, nearest


class Model(BaseModel):
    """A frozen part of a scenario: unknown keys are refused, values are checked when it is made.

    Raises ScenarioError, one line, for anything wrong.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, ser_json_inf_nan="constants")

    def __init__(self, *args: object, **data: Any) -> None:
        name = type(self).__name__.lower()
        if args:
            raise ScenarioError(
                name, f"takes named fields only, such as {next(iter(type(self).model_fields))}=...", args
            )
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise one_line(error, type(self)) from None

    def __eq__(self, other: object) -> bool:
        """Equal where the fields are; what was computed from them and kept does not count."""
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in type(self).model_fields)

    def __hash__(self) -> int:
        return hash((type(self), self.model_dump_json()))

    def plain(self) -> dict[str, Any]:
        """As files hold it: nested dicts, lists, texts with units; fields at their default are left out."""
        return self.model_dump(mode="json", exclude_defaults=True)


# What pydantic adds to the path of a field that may have several types.
_TAGS = {"constrained-int", "constrained-float", "constrained-str", "int", "float", "str", "bool", "literal['forever']"}


def one_line(error: ValidationError, model: type[BaseModel]) -> ScenarioError:
    """The first thing wrong in ``error``, with its path and the nearest valid choice."""
    found = error.errors(include_url=False)
    first = next(
        (item for item in found if item["type"] == "extra_forbidden"), found[0]
    )  # a misspelt field is missing too
    where = ".".join(str(part) for part in first["loc"] if part not in _TAGS and "[" not in str(part))
    kind, given = first["type"], first["input"]
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, ScenarioError):
        return inner.under(where)
    if kind == "extra_forbidden":
        path, _, word = where.rpartition(".")
        return ScenarioError(
            path or f"<{model.__name__.lower()}>",
            f'has no field "{word}"{nearest(word, model.model_fields)}',
            shown=False,
        )
    if kind == "missing":
        return ScenarioError(where, "is missing", shown=False)
    if kind in ("literal_error", "enum"):
        return ScenarioError(where, f"must be {first['ctx']['expected']}", given)
    return ScenarioError(where, _plainly(first["msg"]), given)


def _plainly(message: str) -> str:
    """Pydantic's "Input should be ..." in our words."""
    plain = message.replace("Input should be", "must be").replace("Value error, ", "")
    return "must be true or false" if "boolean" in plain else plain


def one_of(*kinds: type[Model], what: str, shorthand: Callable[[Any], Model] | None = None) -> Any:
    """The type of a field that holds one of several kinds of part, told apart by their ``kind``.

    A kind's own default applies where the tables of a file leave ``kind`` out and only one kind exists.
    ``shorthand`` turns a value that is no table (such as ``"60 ms"``) into a part.
    """
    table: dict[str, type[Model]] = {kind.model_fields["kind"].default: kind for kind in kinds}

    def read(given: Any) -> Any:
        if isinstance(given, kinds):
            return given
        if not isinstance(given, Mapping):
            if shorthand is None or isinstance(given, Model):
                raise ScenarioError("", f"must be {what}, as in {{ kind = {' | '.join(table)} }}", given)
            return shorthand(given)
        word = given.get("kind")
        if word is None:
            raise ScenarioError("", f'must name its kind, as in {{ kind = "{next(iter(table))}" }}', dict(given))
        if word not in table:
            near = nearest(str(word), table)
            raise ScenarioError("kind", f"must be {what}{near}", word)
        return table[word](**given)

    union: Any = Union[tuple(kinds)]  # noqa: UP007 (made at run time)
    if len(kinds) > 1:
        union = Annotated[union, Field(discriminator="kind")]
    kind = Annotated[union, BeforeValidator(read), PlainSerializer(part_table, return_type=Any)]
    return Annotated[kind, Also("string", "number")] if shorthand else kind


class Also:
    """In the JSON schema: a value of one of these types may stand where a part does."""

    def __init__(self, *types: str) -> None:
        self.types = list(types)

    def __get_pydantic_json_schema__(self, core: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {"anyOf": [{"type": self.types}, handler(core)]}


def part_table(part: Model) -> dict[str, Any]:
    """A part as files hold it, with its kind."""
    return {"kind": part.kind, **part.plain()}  # type: ignore[attr-defined]
