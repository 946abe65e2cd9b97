"""The measuring stick: what backends can say, and how faithfully. Pure."""
