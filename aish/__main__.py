from aish.cli import entry

entry()
