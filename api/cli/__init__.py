"""The command line, light to start: a command is imported when it is called."""

import importlib
from collections.abc import Sequence
from typing import Any

import click

COMMANDS = {
    "run": "Prepare facts, learn, answer the main question, serve.",
    "ask": "Ask a question across the possible worlds.",
    "scenarios": "Keep what is assumed under a name, and compare it.",
    "predict": "Predict what one thing will bring.",
    "import": "Import a table of facts.",
    "facts": "Look at facts and at what could not be understood.",
    "learn": "Learn from the facts and publish the models.",
    "backtest": "Look back: how good every model would have been.",
    "score": "Would we have been right?",
    "models": "Show the models in force; promote, roll back, pin.",
    "serve": "Serve over HTTP.",
    "keys": "Create, list, revoke and rotate keys.",
}
MODULES = {"import": "importing"}


class Commands(click.Group):
    """Commands in modules of their names, imported on call."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it so
        """Return the names in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"api.cli.{MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="possible-worlds", prog_name="worlds")
def worlds() -> None:
    r"""Ask questions across possible worlds: competing models, distributions, no single number.

    \b
    Example: learn from simulated facts, answer, and serve on http://127.0.0.1:8000
        worlds run
    Example: what if twice as much is posted?
        worlds ask likes_next_hour --do pupdates=x2 --threshold 1000
    """


def main(arguments: Sequence[str] | None = None, **options: Any) -> None:
    """Run the command line."""
    worlds(None if arguments is None else list(arguments), prog_name="worlds", **options)
