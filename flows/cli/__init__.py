"""Terminal commands: parsing, output, exit codes."""
