"""The commands behind the subcommands, one a module: config, what it does, what it prints."""
