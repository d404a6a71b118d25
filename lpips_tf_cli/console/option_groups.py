"""Groups of options that several commands share, each as one parameter of a command."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypeVar, get_args

Result = TypeVar("Result")


def with_option_groups(command: Callable[..., Result]) -> Callable[..., Result]:
    """Gives a command the fields of its groups as options.

    A group is a dataclass whose fields are annotated as Typer expects, with the title of its panel
    in `--help` as the attribute `panel`. For Typer, a parameter of this type is replaced by a
    parameter for each field; the command itself is called with the instance.
    """
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if dataclasses.is_dataclass(parameter.annotation)
    }
    fields = {name: list(_options(group)) for name, group in groups.items()}

    @functools.wraps(command)
    def run(**given: Any) -> Result:
        for name, group in groups.items():
            given[name] = group(**{option.name: given.pop(option.name) for option in fields[name]})
        return command(**given)

    flat = [
        option
        for name, parameter in signature.parameters.items()
        for option in fields.get(name, [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)])
    ]
    run.__signature__ = signature.replace(parameters=flat)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in flat}
    return run


def _options(group: Any) -> Iterator[inspect.Parameter]:
    for parameter in inspect.signature(group, eval_str=True).parameters.values():
        kind, option = get_args(parameter.annotation)
        shown = copy.copy(option)
        shown.rich_help_panel = group.panel
        annotation = Annotated[kind, shown]  # type: ignore[valid-type]
        yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
