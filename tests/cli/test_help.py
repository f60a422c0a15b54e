"""Every command can say what it takes, whatever stands in brackets."""

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from asvr.cli import app


def below(group: TyperGroup, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        found += below(command, (*path, name)) if isinstance(command, TyperGroup) else [(*path, name)]
    return found


ROOT = typer.main.get_command(app)
assert isinstance(ROOT, TyperGroup)


@pytest.mark.parametrize("command", below(ROOT), ids=" ".join)
def test_help_shows_every_option_and_loses_no_bracket(command: tuple[str, ...]) -> None:
    said = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert said.exit_code == 0, said.exception
    # rich takes a word in brackets for markup and drops it, which leaves a space before the full stop.
    assert " ." not in said.output.replace(" ...", ""), said.output
