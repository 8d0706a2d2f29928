"""Where flows run: servers, hooks, signals, the local stack and its automations."""
